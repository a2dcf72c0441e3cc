export { UnconnectedProjects } from '../components/UnconnectedProjects.tsx'
