"""Rows are read by later releases: their bytes do not change."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volant.journal import rows
from volant.journal.rows import ActionBytes, action_bytes, instant, microseconds
from volant.model.failures import Failure, FailureKind
from volant.model.ids import ActionId, RunId, SpecDigest
from volant.model.payloads import Blob, Inline
from volant.model.phases import ActionPhase
from volant.model.records import ChangeKind
from volant.testing.journal import START, action_id, sample_action, sample_attempt, sample_change, sample_run


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_instant_survives_to_the_microsecond(at: datetime) -> None:
    assert instant(microseconds(at)) == at


def test_instants_are_counted_from_1970() -> None:
    assert microseconds(datetime(1970, 1, 2, tzinfo=UTC)) == 86_400_000_000
    assert microseconds(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == -1


@pytest.mark.parametrize("text", ["", "a1", "g" * 32, "A" * 32, " " + "a" * 31, "a" * 34, "é" * 32, "0 " * 16])
def test_what_is_no_action_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="32 lower-case hex digits"):
        action_bytes(ActionId(text))


@given(st.text(alphabet="0123456789abcdefAF x", max_size=8))
def test_any_digest_comes_back_as_it_was(text: str) -> None:
    action = sample_action(1, spec=SpecDigest(text), inputs_digest=text)
    assert rows.action_record(RunId("r1"), rows.action_row(action, ActionBytes())) == action


FAILURE = Failure(kind=FailureKind.USER, code="ValueError", message="no", exception=b"\x01")


RUN = sample_run(labels={"k": "v"}, bundle="ab", options=b"o", failure=FAILURE)
ACTION = sample_action(1, inputs_digest="cd", group="g", outputs=Blob(digest="d", size=3), started_at=START)
ATTEMPT = sample_attempt(1, 2, pid=7, exit_status="exit 3", cpu_seconds=0.5, log="l", failure=FAILURE)
CHANGE = sample_change(4, action=action_id(1), name="delays", attempt=2, message="m")


def test_rows_of_the_first_release_are_still_read() -> None:
    """When this fails, journals that exist can no longer be read: only add fields, at the end, with defaults."""
    run = bytes.fromhex(RUN_BODY)
    assert rows.run_record((*rows.run_row(RUN)[:-1], run)) == RUN
    action = bytes.fromhex(ACTION_BODY)
    assert rows.action_record(RUN.run, (*rows.action_row(ACTION, ActionBytes())[:-1], action)) == ACTION
    attempt = bytes.fromhex(ATTEMPT_BODY)
    assert rows.attempt_record(RUN.run, ACTION.action, (2, attempt)) == ATTEMPT
    assert rows.change_record(RUN.run, 4, bytes.fromhex(CHANGE_BODY)) == CHANGE


def test_codes_of_the_first_release_mean_what_they_meant() -> None:
    assert dict(rows.PHASE_CODES) == {
        ActionPhase.QUEUED: 1,
        ActionPhase.WAITING_FOR_RESOURCES: 2,
        ActionPhase.INITIALIZING: 3,
        ActionPhase.RUNNING: 4,
        ActionPhase.PAUSED: 5,
        ActionPhase.SUCCEEDED: 11,
        ActionPhase.FAILED: 12,
        ActionPhase.ABORTED: 13,
        ActionPhase.TIMED_OUT: 14,
    }
    assert dict(rows.KIND_CODES) == {kind: code for code, kind in enumerate(ChangeKind, start=1)}


def test_a_row_with_fields_that_a_later_release_added_is_still_read() -> None:
    *columns, body = rows.action_row(sample_action(1, inputs=Inline(data=b"x")), ActionBytes())
    longer = msgspec.msgpack.encode([*msgspec.msgpack.decode(body), "added later"])
    assert rows.action_record(RunId("r1"), (*columns, longer)) == sample_action(1, inputs=Inline(data=b"x"))


def test_later_is_greater() -> None:
    assert microseconds(START) < microseconds(START + timedelta(microseconds=1))


RUN_BODY = (
    "97c41000000000000000000000000000000000a56c6f63616c81a16ba17680c4016fc40268ab84a46b696e64a475736572a4"
    "636f6465aa56616c75654572726f72a76d657373616765a26e6fa9657863657074696f6ec40101"
)
ACTION_BODY = (
    "9ca664656c617973c42168555555555555555555555555555555555555555555555555555555555555555592a6696e6c696e"
    "65c40101c40268cda16700000000cf000612846be0860093a4626c6f62a16403c0"
)
ATTEMPT_BODY = (
    "9c04a56c6f63616ca007cf000612846be08600c0c0a6657869742033cb3fe0000000000000c0a16c84a46b696e64a4757365"
    "72a4636f6465aa56616c75654572726f72a76d657373616765a26e6fa9657863657074696f6ec40101"
)
CHANGE_BODY = "9808cf000612846be0860004c4109e3779b97f4a7c15f39cc0605cedc835c0a664656c61797302a16d"
