{{/* What stands beside each deployment. Both take root, app and own. */}}
{{- define "movie-tasks.disruptionBudget" }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "movie-tasks.fullname" .root }}-{{ .app }}
  labels:
    {{- include "movie-tasks.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ .own.maxUnavailable }}
  # What is not ready keeps nobody from draining its node.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "movie-tasks.selector" . | nindent 6 }}
{{- end }}

{{/* A pod says whether it wants the token. What the sidecar shows to Dapr is mounted by Dapr's injector. */}}
{{- define "movie-tasks.serviceAccount" }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "movie-tasks.fullname" .root }}-{{ .app }}
  labels:
    {{- include "movie-tasks.labels" . | nindent 4 }}
  {{- with .own.serviceAccountAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end }}
