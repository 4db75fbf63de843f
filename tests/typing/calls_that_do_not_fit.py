"""Every line with an ignore is wrong; a checker that finds one right complains of the ignore. Never run."""

from volant.authoring.environment import TaskEnvironment
from volant.authoring.mapping import map as volant_map
from volant.authoring.resources import Resources

env = TaskEnvironment("typed")


@env.task
async def delays(carrier: str, month: int = 1) -> dict[str, float]:
    return {carrier: float(month)}


@env.task(retries=1)
def double(n: int) -> int:
    return 2 * n


async def calls() -> None:
    await delays(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await delays()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await delays("AA", months=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await delays("AA", 1, 2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await delays.aio("AA", month="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await delays.override(retries=1)(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await double(1)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await double.aio("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    double("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    double(1, 2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    double.override(queue="gpu")(n="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    text: str = double(1)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    other: int = await delays("AA")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(text, other)


def definitions() -> None:
    TaskEnvironment("typed", imgae="auto")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    TaskEnvironment("typed", resources="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    TaskEnvironment("typed", retries=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    TaskEnvironment("typed", env_vars={"A": 1})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    env.task(image="auto")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    env.task(retries="many")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    double.override(image="auto")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    double.override(retries="many")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    double.override(reusable="on")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    env.clone_with("clone", queu="gpu")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    env.clone_with()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    env.name = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    Resources(mem="1Gi")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Resources(memory=4)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def mapping() -> None:
    volant_map(double, ["1"])  # type: ignore[misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
    volant_map(double, [1], ["x"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    volant_map(delays, [1])  # type: ignore[misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
    volant_map(double, [1], concurency=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    volant_map(double)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    volant_map(3, [1])  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
