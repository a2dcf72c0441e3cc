"""The dashboards, and their JSON in the chart: `python k8s/monitoring/dashboards.py` writes it anew.

Counters of replicas add up (`sum`). What is looked up at a scrape is shared and said alike by each (`max`): the
backlog, the queue, what projects were charged.
"""

import json
from pathlib import Path

from grafana import Dashboard, Panel, datasource, label_values, textbox, to_json

FOLDER = Path(__file__).resolve().parents[2] / "charts" / "movie-tasks" / "dashboards"
RATE = "[$__rate_interval]"
VARIABLES = (datasource("prometheus"), label_values("namespace", "movie_tasks_build_info", "namespace"))


def of(metric: str, labels: str = "") -> str:
    return f'movie_tasks_{metric}{{namespace="$namespace"{"," if labels else ""}{labels}}}'


def rate(metric: str, by: str, labels: str = "") -> str:
    return f"sum by ({by}) (rate({of(metric, labels)}{RATE}))"


def quantile(which: float, histogram: str, by: str = "", labels: str = "") -> str:
    return f"histogram_quantile({which}, {rate(f'{histogram}_bucket', f'le, {by}' if by else 'le', labels)})"


def shared(metric: str, by: str, labels: str = "") -> str:
    return f"max by ({by}) ({of(metric, labels)})"


def over_models(metric: str, by: str) -> str:
    return f"sum by ({by}) ({shared(metric, f'{by}, model')})"


QUEUED = shared("queue_tasks", "medium, project, priority")
NONE_OF_A_KIND = f"0 * sum by (medium, priority) ({of('tasks_accepted_total')})"
"""An empty queue has no series."""
DONE, DONE_OR_FAILED, ERRORS = 'end="done"', 'end=~"done|failed"', 'status=~"5.."'
DONE_SHARE = (
    f"sum(increase({of('tasks_ended_total', DONE)}[1h])) "
    f"/ (sum(increase({of('tasks_ended_total', DONE_OR_FAILED)}[1h])) > 0)"
)
API_SHARE = (
    f"1 - (sum(increase({of('http_request_duration_seconds_count', ERRORS)}[1h])) or vector(0)) "
    f"/ (sum(increase({of('http_request_duration_seconds_count')}[1h])) > 0)"
)
OLDEST = f"max({of('queue_oldest_seconds')}) or vector(0)"
WAITING = f"sum({shared('queue_tasks', 'medium, project, priority')}) or vector(0)"


def stat(title: str, query: str, unit: str = "short", about: str = "") -> Panel:
    return Panel(title, {"": query}, unit, "stat", about, width=4, height=4)


OVERVIEW = Dashboard(
    uid="movie-tasks-overview",
    title="Movie Tasks: overview",
    about="Whether tasks come, go and are told of.",
    variables=VARIABLES,
    panels=(
        stat("Done in the last hour", f"sum(increase({of('tasks_ended_total', DONE)}[1h]))"),
        stat("of those that did not fail", DONE_SHARE, "percentunit"),
        stat("Wait for a worker", WAITING, about="What projects' budgets hold up is among them."),
        stat("The oldest of them", OLDEST, "s"),
        stat("API well, last hour", API_SHARE, "percentunit"),
        stat("Leads", f"sum({of('leader')})", about="One replica of scheduling, always."),
        Panel("Tasks accepted", {"{{medium}}": rate("tasks_accepted_total", "medium")}, "reqps", stacked=True),
        Panel("Tasks ended", {"{{end}}": rate("tasks_ended_total", "end")}, "reqps", stacked=True),
        Panel("Attempts that failed", {"{{cause}}, {{then}}": rate("attempt_failures_total", "cause, then")}, "reqps"),
        Panel(
            "Queue",
            {"{{medium}}, {{priority}}": f"sum by (medium, priority) ({QUEUED}) or {NONE_OF_A_KIND}"},
            stacked=True,
        ),
        Panel(
            "The oldest in it",
            {"{{medium}}, {{priority}}": f"{shared('queue_oldest_seconds', 'medium, priority')} or {NONE_OF_A_KIND}"},
            "s",
        ),
        Panel(
            "Wait for a worker",
            {
                "half, {{priority}}": quantile(0.5, "task_wait_seconds", "priority"),
                "nine of ten, {{priority}}": quantile(0.9, "task_wait_seconds", "priority"),
            },
            "s",
            about="Of tasks whose first run began.",
        ),
        Panel("Nine of ten phases take", {"{{phase}}": quantile(0.9, "task_phase_seconds", "phase")}, "s"),
        Panel("Requests", {"{{status}}": rate("http_request_duration_seconds_count", "status")}, "reqps", stacked=True),
        Panel(
            "Answers begin after",
            {
                "half": quantile(0.5, "http_request_duration_seconds"),
                "99 of 100": quantile(0.99, "http_request_duration_seconds"),
            },
            "s",
        ),
        Panel(
            "Events handled in (99 of 100)",
            {"{{topic}}": quantile(0.99, "delivery_duration_seconds", "topic")},
            "s",
        ),
        Panel("Events put off", {"{{topic}}": rate("deliveries_total", "topic", 'answer="RETRY"')}, "reqps"),
        Panel("Dead letters", {"{{topic}}": f"sum by (topic) (increase({of('dead_letters_total')}[15m]))"}),
        Panel("Tries of webhooks", {"{{answer}}": rate("webhook_tries_total", "answer")}, "reqps", stacked=True),
        Panel("Webhooks first tried after (99 of 100)", {"": quantile(0.99, "webhook_first_try_seconds")}, "s"),
        Panel("Reminders said after their moment (99 of 100)", {"": quantile(0.99, "reminder_lateness_seconds")}, "s"),
    ),
)

FLEET = Dashboard(
    uid="movie-tasks-fleet",
    title="Movie Tasks: GPU fleet",
    about="What GPUs do, how they are, and what of their time came to nothing.",
    variables=VARIABLES,
    panels=(
        Panel("Workers", {"{{state}}": f"sum by (state) ({of('worker_state')})"}, stacked=True),
        Panel(
            "Workers with work",
            {"{{medium}}": over_models("busy_workers", "medium")},
            stacked=True,
        ),
        Panel(
            "Work there is, in GPU time",
            {"{{medium}}, {{state}}": over_models("backlog_gpu_seconds", "medium, state")},
            "s",
            about="What budgets allow, by the catalog; KEDA scales by it.",
        ),
        Panel("GPU time charged per second", {"{{medium}}": rate("gpu_seconds_total", "medium")}, stacked=True),
        Panel(
            "of which came to nothing",
            {
                "{{cause}}": rate("wasted_gpu_seconds_total", "cause"),
                "fenced": f"sum(rate({of('worker_fenced_gpu_seconds_total')}{RATE}))",
            },
            stacked=True,
            about="Fenced is charged to nobody: another attempt had the task by then.",
        ),
        Panel(
            "Part of it, last hour",
            {
                "{{cause}}": f"sum by (cause) (increase({of('wasted_gpu_seconds_total')}[1h])) "
                f"/ on() group_left() sum(increase({of('gpu_seconds_total')}[1h]))"
            },
            "percentunit",
            kind="bargauge",
        ),
        Panel("Utilisation", {"{{worker}}": shared("gpu_utilisation_ratio", "worker")}, "percentunit", most=1),
        Panel(
            "Memory",
            {"{{worker}}": f"max by (worker) ({of('gpu_memory_used_bytes')} / {of('gpu_memory_bytes')})"},
            "percentunit",
            most=1,
        ),
        Panel("Temperature", {"{{worker}}": shared("gpu_temperature_celsius", "worker")}, "celsius"),
        Panel("Power", {"{{worker}}": shared("gpu_power_watts", "worker")}, "watt"),
        Panel("Faults of the hardware (XID)", {"{{worker}}": f"{shared('gpu_xid', 'worker')} > 0"}),
        Panel("Models in memory", {"{{worker}}": shared("worker_warm_models", "worker")}),
        Panel("Attempts ended", {"{{worker}}, {{end}}": rate("worker_attempts_total", "worker, end")}, "reqps"),
        Panel(
            "Loading a model takes",
            {
                "half": quantile(0.5, "task_phase_seconds", labels='phase="loading_model"'),
                "nine of ten": quantile(0.9, "task_phase_seconds", labels='phase="loading_model"'),
            },
            "s",
        ),
        Panel("Workers by device", {"{{device}}, {{medium}}": f"count by (device, medium) ({of('worker_info')})"}),
    ),
)

CHOSEN = 'project=~"$project"'
QUEUED_OF_CHOSEN = shared("queue_tasks", "medium, project, priority", CHOSEN)
TENANTS = Dashboard(
    uid="movie-tasks-tenants",
    title="Movie Tasks: projects",
    about="Who waits, for how long, and who has how much of the GPUs. Beyond the hundred largest all are one: _other.",
    variables=(
        *VARIABLES,
        label_values("project", 'movie_tasks_project_gpu_seconds_total{namespace="$namespace"}', "project", many=True),
    ),
    panels=(
        Panel(
            "Waiting",
            {"{{project}}": f"sum by (project) ({QUEUED_OF_CHOSEN})"},
            width=12,
            stacked=True,
        ),
        Panel("The longest waiting", {"{{project}}": shared("queue_oldest_seconds", "project", CHOSEN)}, "s", width=12),
        Panel(
            "GPU time per second",
            {"{{project}}": f"max by (project) (rate({of('project_gpu_seconds_total', CHOSEN)}{RATE}))"},
            width=12,
            stacked=True,
            about="How many GPUs a project keeps busy.",
        ),
        Panel(
            "Part of all GPU time, last hour",
            {
                "{{project}}": f"max by (project) (increase({of('project_gpu_seconds_total', CHOSEN)}[1h])) "
                f"/ on() group_left() sum(max by (project) (increase({of('project_gpu_seconds_total')}[1h])))"
            },
            "percentunit",
            kind="bargauge",
            width=12,
        ),
        Panel(
            "Waiting, by priority",
            {"{{project}}, {{priority}}": f"sum by (project, priority) ({QUEUED_OF_CHOSEN})"},
            width=12,
        ),
        Panel(
            "GPU time, ever",
            {"{{project}}": f"topk(20, {shared('project_gpu_seconds_total', 'project', CHOSEN)})"},
            "s",
            kind="bargauge",
            width=12,
        ),
    ),
)

TASK = Dashboard(
    uid="movie-tasks-task",
    title="Movie Tasks: one task",
    about="One task's life, by its id.",
    variables=(
        *VARIABLES,
        datasource("loki"),
        textbox("task", "Task"),
        textbox("api", "Address of the API", "http://localhost:8080"),
    ),
    panels=(
        Panel(
            "One task",
            {},
            kind="text",
            about=(
                "A task is too small to be a series in Prometheus. Its life is in its record, and in the logs of all "
                "services, which carry its id:\n\n"
                "- [its state](${api}/api/v1/tasks/${task}/status), "
                "[its history](${api}/api/v1/tasks/${task}/history): with the key of its project\n"
                "- below, all that was logged of it, if logs are in Loki with a label `namespace`; without Loki: "
                "`kubectl --namespace ${namespace} logs --selector app.kubernetes.io/name=movie-tasks --all-containers "
                "--tail=-1 | grep ${task}`"
            ),
            width=24,
            height=5,
        ),
        Panel(
            "Everything that was logged of it",
            {"": '{namespace="$namespace"} |= "$task"'},
            kind="logs",
            width=24,
            height=12,
        ),
        Panel(
            "What phases of tasks take: half",
            {"{{phase}}": quantile(0.5, "task_phase_seconds", "phase")},
            "s",
            width=12,
            about="To compare it with.",
        ),
        Panel(
            "What phases of tasks take: nine of ten",
            {"{{phase}}": quantile(0.9, "task_phase_seconds", "phase")},
            "s",
            width=12,
        ),
    ),
)

DASHBOARDS = {"overview": OVERVIEW, "fleet": FLEET, "tenants": TENANTS, "task": TASK}


def written(dashboard: Dashboard) -> str:
    return json.dumps(to_json(dashboard), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name, dashboard in DASHBOARDS.items():
        (FOLDER / f"{name}.json").write_text(written(dashboard))
