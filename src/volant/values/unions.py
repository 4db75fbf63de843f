"""The plan of `A | B`: the member that was given is the one that comes back.

Most members are told apart by the tag of the bytes. Two members that could start with the same
tag, and whose bytes leave class names to the annotation, are preceded by the member's label, so
that an `A` never shares bytes with an equal-looking `B`, however deep in a container it is.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from volant.values.plans import Plan
from volant.values.wire import MEMBER, Misfit, Misread, Sink, Source, Unencodable, class_of, read_text, text_bytes


class Member(NamedTuple):
    """A member, and the bytes that go before its value."""

    plan: Plan
    label: str
    head: bytes


class UnionPlan(Plan):
    """Values of one of several types."""

    __slots__ = ("anonymous", "candidates", "members", "readers", "settled", "tags")

    def __init__(self, label: str, plans: Sequence[Plan], names: Sequence[str]) -> None:
        super().__init__(label)
        self.members = tuple(
            Member(plan, name, bytes((MEMBER,)) + text_bytes(name) if _needs_label(plan, plans) else b"")
            for plan, name in zip(plans, names, strict=True)
        )
        self.anonymous = any(plan.anonymous for plan in plans)
        self.tags = _union_tags(self.members)
        self.settled: dict[type, Member] = {}
        self.candidates: dict[type, tuple[Member, ...]] = {}
        self.readers: dict[int, tuple[Plan, ...]] = {}

    def write(self, value: Any, out: Sink) -> None:
        member = self.settled.get(class_of(value))
        if member is not None:
            out += member.head
            member.plan.write(value, out)
        else:
            self._write_fitting(value, out)

    def read(self, source: Source) -> Any:
        start = source.pos
        tag = source.peek()
        if tag == MEMBER:
            source.pos += 1
            return self._labelled(read_text(source)).plan.read(source)
        faults: list[Misread] = []
        for plan in self._readers(tag):
            source.pos = start
            try:
                return plan.read(source)
            except Misread as fault:
                faults.append(fault)
        if not faults:
            raise Misread(f"found a value without the label that tells its type, wanted {self.label}")
        raise faults[0] if len(faults) == 1 or faults[0].steps else Misread(f"{faults[0].text}, wanted {self.label}")

    def takes(self, cls: type[Any]) -> bool:
        return any(member.plan.takes(cls) for member in self.members)

    def _write_fitting(self, value: Any, out: Sink) -> None:
        candidates = self._candidates(class_of(value))
        fault: Misfit | Unencodable | None = None
        exact = out.exact
        mark = out.mark()
        try:
            for out.exact in (True,) if exact else (True, False):
                for member in candidates:
                    try:
                        out += member.head
                        member.plan.write(value, out)
                        return
                    except (Misfit, Unencodable) as error:
                        out.rollback(mark)
                        fault = error if fault is None or isinstance(error, Unencodable) else fault
        finally:
            out.exact = exact
        if fault is not None and (len(candidates) == 1 or isinstance(fault, Unencodable)):
            raise fault
        raise self.misfit(value)

    def _candidates(self, cls: type[Any]) -> tuple[Member, ...]:
        """The members that may take instances of *cls*: its own first, those that take anything last."""
        known = self.candidates.get(cls)
        if known is None:
            taking = [member for member in self.members if member.plan.takes(cls)]
            taking.sort(key=lambda member: (member.plan.cls is not cls, member.plan.tags is None))
            known = self.candidates[cls] = tuple(taking)
            if len(known) == 1 or (known and known[0].plan.cls is cls and known[0].plan.total):
                self.settled[cls] = known[0]
        return known

    def _readers(self, tag: int) -> tuple[Plan, ...]:
        """The plans to read with: those whose own bytes start with *tag* first.

        Members with a label never write their own bytes without it, so such bytes are of a time when
        the union had fewer members. To guess whose they are could make an `A` of a `B`.
        """
        known = self.readers.get(tag)
        if known is None:
            plans = [plan for plan, _, head in self.members if not (head and _may_start(plan, tag))]
            if len(plans) < len(self.members):
                plans = [plan for plan in plans if _may_start(plan, tag)]
            plans.sort(key=lambda plan: not _may_start(plan, tag) or plan.tags is None)
            known = self.readers[tag] = tuple(plans)
        return known

    def _labelled(self, label: str) -> Member:
        for member in self.members:
            if member.label == label:
                return member
        raise Misread(f"found the member {label!r}, wanted {self.label}")


def _needs_label(plan: Plan, plans: Sequence[Plan]) -> bool:
    others = (other for other in plans if other is not plan and other.anonymous)
    return plan.anonymous and any(_overlap(plan, other) for other in others)


def _may_start(plan: Plan, tag: int) -> bool:
    return plan.tags is None or tag in plan.tags


def _overlap(one: Plan, other: Plan) -> bool:
    return one.tags is None or other.tags is None or not one.tags.isdisjoint(other.tags)


def _union_tags(members: Sequence[Member]) -> frozenset[int] | None:
    tags: set[int] = set()
    for member in members:
        if member.plan.tags is None:
            return None
        tags |= member.plan.tags
        if member.head:
            tags.add(MEMBER)
    return frozenset(tags)
