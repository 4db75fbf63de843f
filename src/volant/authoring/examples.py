"""A right way to write each parameter: the hint that comes with the refusal of a wrong one."""

import re
from collections.abc import Mapping

_KIND = re.compile(r"@?[A-Za-z_.]+")
_PARAMETER = re.compile(r"(?:.* (?:of|in) )?([a-z_]+)(?:\[.*)?", re.DOTALL)

_SETTINGS: Mapping[str, str] = {
    "name": 'TaskEnvironment("my_env")',
    "image": 'image="auto", or image=Image.from_debian_base().with_pip_packages("pandas")',
    "resources": 'resources=Resources(cpu=2, memory="4Gi")',
    "env_vars": 'env_vars={"THREADS": "4"}',
    "secrets": 'secrets=["api-key", Secret("token", group="mail")]',
    "depends_on": "depends_on=[other_env]",
    "description": 'description="What the tasks are for."',
    "pod_template": 'pod_template=PodTemplate(labels={"team": "data"})',
    "interruptible": "interruptible=True",
    "include": 'include=["data/*.csv"]',
    "cache": 'cache="auto", or cache=Cache("auto", ignored_inputs="verbose")',
    "reusable": "reusable=ReusePolicy(replicas=2), or reusable='off'",
    "queue": 'queue="gpu"',
    "short_name": 'short_name="load"',
    "retries": "retries=3, or retries=RetryStrategy(3, backoff=Backoff(base=1, factor=2))",
    "timeout": "timeout=300 for five minutes, or timeout=timedelta(minutes=5)",
    "docs": 'docs=Documentation("What the task does.")',
    "report": "report=True",
    "max_inline_io_bytes": "max_inline_io_bytes=50 * 1024 * 1024",
    "links": 'links=URLLink("logs", "https://logs.example.org/{run_name}")',
    "triggers": 'triggers=Trigger("nightly", Cron("0 3 * * *"))',
    "task_resolver": "task_resolver=DefaultResolver()",
    "entrypoint": "entrypoint=True",
    # Options of runs.
    "mode": 'mode="inline" while debugging; left out, the settings say',
    "labels": 'labels={"team": "data"}',
    "annotations": 'annotations={"why": "backfill"}',
    "custom_context": 'custom_context={"tenant": "acme"}',
    "overwrite_cache": "overwrite_cache=True",
    "disable_run_cache": "disable_run_cache=True",
    "max_action_concurrency": "max_action_concurrency=8",
    "raw_data_path": 'raw_data_path="/data/raw"',
    "wait": "wait=False, to return as soon as the run is accepted",
}
"""At whatever level they are written."""

_VALUES: Mapping[str, str] = {
    "volant": "volant run --name nightly --env THREADS=4 --label team=data pipeline.py main",
    "volant.run": "volant.run(task, 1, name='x')",
    "with_runcontext": "with_runcontext(name='my-run', labels={'team': 'data'}).run(task)",
    "volant.init_from_config": 'volant.init_from_config("config.yaml")',
    "volant.init": 'volant.init(home="~/runs", grace_period=10)',
    "with_runcontext.name": 'name="nightly-2026-01-31"; left out, one is made up',
    "TaskEnvironment.clone_with": 'env.clone_with("other_env", image="auto")',
    "TaskEnvironment.from_task": 'TaskEnvironment.from_task("my_env", SyncTask(function))',
    "task.override": "task.override(retries=3, timeout=60)",
    "register_plugin": "register_plugin(SparkConfig, SparkPlugin())",
    "Resources": 'Resources(cpu=2, memory="4Gi")',
    "Resources.cpu": 'cpu=2, cpu="500m", or cpu=(1, 4) for a request and a limit',
    "Resources.memory": 'memory="4Gi", or memory=("1Gi", "4Gi") for a request and a limit',
    "Resources.gpu": 'gpu=1, gpu="A100:2", or gpu=GPU("A100", 1, "1g.5gb")',
    "Resources.disk": 'disk="10Gi"',
    "Resources.shm": 'shm="auto", or shm="1Gi"',
    "Device": 'Device(1, "Gaudi1", device_class="hpu")',
    "GPU": 'GPU("A100", 2)',
    "GPU.partition": 'GPU("A100", 1, "1g.5gb")',
    "TPU": 'TPU("V5P", "2x2x1")',
    "RetryStrategy": "RetryStrategy(3, backoff=Backoff(base=1, factor=2))",
    "Backoff": "Backoff(base=1, factor=2, cap=60)",
    "Timeout": "Timeout(max_runtime=300, deadline=timedelta(hours=1))",
    "ReusePolicy": "ReusePolicy(replicas=(1, 4), idle_ttl=60)",
    "ReusePolicy.concurrency": "ReusePolicy(replicas=2, concurrency=8)",
    "ReusePolicy.scope": 'ReusePolicy(replicas=2, scope="run")',
    "Cache": 'Cache("auto", ignored_inputs=["verbose"])',
    "Cache.policies": "an object with def get_version(self, salt, parameters): return '2'",
    "Cache.version_override": 'Cache("auto", version_override="2")',
    "Cache.serialize": 'Cache("auto", serialize=True)',
    "Cache.salt": 'Cache("auto", salt="2026")',
    "Cache.max_age": 'Cache("auto", max_age=timedelta(days=1))',
    "Secret": 'Secret("api-key", group="mail", as_env_var="MAIL_KEY")',
    "Secret.mount": 'Secret("api-key", mount="keys/api")',
    "Image": 'Image.from_debian_base("3.12").with_pip_packages("pandas")',
    "Image.python_version": 'Image.from_debian_base(python_version="3.12")',
    "Image.python": 'Image.from_debian_base(python_version="3.12")',
    "Image.src": 'with_source_file("settings.toml"), with_source_folder("data")',
    "Image.project_install_mode": 'with_uv_project("pyproject.toml", project_install_mode="install_project")',
    "Image.reference": 'Image.from_base("ghcr.io/acme/tools:1.2")',
    "Image.platform": 'Image.from_debian_base(platform="linux/amd64")',
    "Image.commands": 'with_commands(["make", "make install"])',
    "Image.env_vars": 'with_env_vars({"THREADS": "4"})',
    "Image.with_pip_packages.packages": 'with_pip_packages("pandas>=2", "httpx")',
    "Image.with_apt_packages.packages": 'with_apt_packages("git", "curl")',
    "Cron": 'Cron("30 6 * * 1-5", timezone="Europe/Berlin")',
    "FixedRate": "FixedRate(15), every fifteen minutes, or FixedRate(timedelta(seconds=90))",
    "FixedRate.start_time": "FixedRate(15, start_time=datetime(2026, 1, 1, tzinfo=UTC))",
    "Trigger": 'Trigger("nightly", Cron("0 3 * * *"), inputs={"day": TriggerTime})',
    "Trigger.env_vars": 'env_vars={"THREADS": "4"}',
    "Trigger.labels": 'labels={"team": "data"}',
    "URLLink": 'URLLink("logs", "https://logs.example.org/{run_name}/{action_name}")',
    "PodTemplate": 'PodTemplate(pod_spec={"containers": [{"name": "primary"}]})',
    "PodTemplate.labels": 'PodTemplate(labels={"team": "data"})',
    "Documentation": 'Documentation("What the task does.")',
    "volant.run.aio": "await volant.run.aio(task, 1)",
    "volant.map.aio": "async for result in volant.map.aio(task, items): ...",
    "volant.map": "volant.map(task, items, concurrency=8)",
    "volant.ctx": "volant.ctx().attempt_number",
    "volant.group": 'with volant.group("training"): ...',
}


def example_of(where: str, parameter: str) -> str | None:
    """How a parameter is written right, as a hint; None where nothing is known about it.

    *where* and *parameter* are those of the message: `Trigger 'nightly'`, `the limit of cpu`, `secrets[1]`.
    """
    words = _KIND.match(where)
    kind = words[0] if words is not None else ""
    plain = _PARAMETER.fullmatch(parameter)
    name = plain[1] if plain is not None else ""
    inner = _SETTINGS.get(name) if kind == "with_runcontext" else None
    found = _VALUES.get(f"{kind}.{name}") or inner or _VALUES.get(kind) or _SETTINGS.get(name)
    return None if found is None else f"for example {found}"
