"""Every act of engine, zygotes and workers is a point at which one of them can die; some are died at here, all of them
by `make crash-points`."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.crash.sweep import Case, Death, choose, die, discover

DEATHS = 8


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return discover(tmp_path_factory.mktemp("points"))


def test_no_act_is_overlooked(points: list[str]) -> None:
    """Audit events bear witness of what no point was announced for."""
    assert [point for point in points if point.startswith("unseen")] == []


@pytest.mark.parametrize(
    "act",
    [
        "engine before execute journal/sqlite/writer.py",
        "engine after execute journal/sqlite/writer.py",
        "engine before fork_exec launchers/interpreters.py",
        "engine after send engine/service.py",
        "engine before sendmsg launchers/framed_socket.py",
        "zygote after fork worker/zygote.py",
        "zygote before send worker/zygote.py",
        "worker before write worker/process.py",
        "worker before link blobs/local.py",
        "worker before fsync blobs/local.py",
    ],
)
def test_commits_sends_spawns_and_renames_are_found(points: list[str], act: str) -> None:
    assert any(point.startswith(act) for point in points)


@pytest.fixture(scope="module")
def cases(points: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    folder = tmp_path_factory.mktemp("deaths")
    deaths = [Death(point=point) for point in choose(points, at_most=DEATHS)]
    deaths.append(
        Death(point=next(point for point in points if "after execute journal/sqlite/writer" in point), times=7)
    )
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda item: die(folder / str(item[0]), item[1]), enumerate(deaths)))


def test_whoever_dies_and_wherever_the_run_comes_to_its_end_and_nothing_told_is_executed_again(
    cases: list[Case],
) -> None:
    assert {case.death: case.wrong for case in cases if case.wrong} == {}
    assert sum(case.died for case in cases) >= DEATHS
