{{/*
The pod of a service or of a worker. Takes root, app (the component in labels), appId (of Dapr, where that is another), image, own (its
values), kind (services or workers), ready (a path), env, secretEnv and fieldEnv (variables), mounts and volumes, init
(containers), gpu, which may be empty, and calls: whether it calls Kubernetes.
*/}}
{{- define "movie-tasks.pod" -}}
metadata:
  labels:
    {{- include "movie-tasks.selector" . | nindent 4 }}
    {{- with .root.Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    {{- include "movie-tasks.daprAnnotations" . | nindent 4 }}
    {{- with .root.Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "movie-tasks.fullname" .root }}-{{ .app }}
  automountServiceAccountToken: {{ .calls | default false }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .own.terminationGraceSeconds | int }}
  {{- with include "movie-tasks.priorityClass" . }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- with .gpu.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- with mergeOverwrite (deepCopy (.gpu.nodeSelector | default dict)) .own.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with concat (.gpu.tolerations | default list) .own.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .own.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "movie-tasks.selector" $ | nindent 10 }}
      matchLabelKeys: [pod-template-hash]
    {{- end }}
  securityContext:
    {{- include "movie-tasks.podSecurity" . | nindent 4 }}
  {{- with .init }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ .app }}
      image: {{ include "movie-tasks.image" . }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      ports:
        - name: http
          containerPort: 8000
      env:
        {{- include "movie-tasks.env" . | nindent 8 }}
      startupProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 2
        failureThreshold: 90
      livenessProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: {{ .ready | quote }}, port: http}
        periodSeconds: 5
        timeoutSeconds: 5
      {{- if eq .kind "services" }}
      lifecycle:
        preStop:
          # Others stop sending requests before the process stops taking them.
          sleep: {seconds: 5}
      {{- end }}
      resources:
        {{- toYaml .own.resources | nindent 8 }}
      securityContext:
        {{- include "movie-tasks.containerSecurity" . | nindent 8 }}
      volumeMounts:
        {{- toYaml .mounts | nindent 8 }}
  volumes:
    {{- toYaml .volumes | nindent 4 }}
{{- end -}}

{{- define "movie-tasks.env" -}}
{{- range $name, $value := .env }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- range $name, $path := .fieldEnv }}
- name: {{ $name }}
  valueFrom:
    fieldRef: {fieldPath: {{ $path }}}
{{- end }}
{{- range .secretEnv }}
- name: {{ .name }}
  valueFrom:
    secretKeyRef: {name: {{ .secret }}, key: {{ .key | default .name }}{{ if .optional }}, optional: true{{ end }}}
{{- end }}
{{- end -}}

{{- define "movie-tasks.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "movie-tasks.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Variables of every process: where it listens, what it offers, where media lie. */}}
{{- define "movie-tasks.commonEnv" -}}
MOVIE_TASKS_HOST: 0.0.0.0
MOVIE_TASKS_PORT: "8000"
MOVIE_TASKS_LOG_LEVEL: {{ .Values.logLevel }}
MOVIE_TASKS_MODELS: {{ join "," .Values.models | quote }}
MOVIE_TASKS_MEDIA_URL: {{ .Values.objectStore.url | quote }}
{{- with .Values.corsOrigins }}
MOVIE_TASKS_CORS_ORIGINS: {{ join "," . | quote }}
{{- end }}
{{- with .Values.tracing.endpoint }}
MOVIE_TASKS_TRACING_ENDPOINT: {{ . | quote }}
MOVIE_TASKS_TRACING_SAMPLE_RATIO: {{ include "movie-tasks.settingText" $.Values.tracing.sampleRatio | quote }}
{{- end }}
{{- if .Values.catalogConfigMap }}
MOVIE_TASKS_CATALOG: /etc/movie-tasks/catalog.yaml
{{- end }}
{{- end -}}

{{/* Of those that reach the object store. */}}
{{- define "movie-tasks.objectStoreEnv" -}}
AWS_REGION: {{ .Values.objectStore.region | quote }}
{{- with .Values.objectStore.endpoint }}
AWS_ENDPOINT_URL: {{ . | quote }}
{{- if hasPrefix "http://" . }}
AWS_ALLOW_HTTP: "true"
{{- end }}
{{- end }}
{{- end -}}

{{/* What a service's settings are called in the environment. Takes a map of settings. */}}
{{- define "movie-tasks.settingsEnv" -}}
{{- range $name, $value := . }}
MOVIE_TASKS_{{ upper $name }}: {{ include "movie-tasks.settingText" $value | quote }}
{{- end }}
{{- end -}}

{{/* Helm keeps numbers as floats, and would write large ones with an exponent. */}}
{{- define "movie-tasks.settingText" -}}
{{- if kindIs "slice" . -}}
{{- join "," . -}}
{{- else if and (kindIs "float64" .) (eq . (float64 (int64 .))) -}}
{{- int64 . -}}
{{- else -}}
{{- toString . -}}
{{- end -}}
{{- end -}}

{{- define "movie-tasks.tokenEnv" -}}
- {name: DAPR_API_TOKEN, secret: {{ .Values.dapr.apiTokenSecret | quote }}, key: token}
- {name: APP_API_TOKEN, secret: {{ .Values.dapr.appTokenSecret | quote }}, key: token}
{{- end -}}

{{/* Of every process: what it shows to the collector. */}}
{{- define "movie-tasks.tracingSecretEnv" -}}
{{- with .Values.tracing.headersSecret }}
- {name: MOVIE_TASKS_TRACING_HEADERS, secret: {{ . | quote }}}
{{- end }}
{{- end -}}

{{- define "movie-tasks.objectStoreSecretEnv" -}}
{{- with .Values.objectStore.existingSecret }}
- {name: AWS_ACCESS_KEY_ID, secret: {{ . | quote }}}
- {name: AWS_SECRET_ACCESS_KEY, secret: {{ . | quote }}}
{{- end }}
{{- end -}}
