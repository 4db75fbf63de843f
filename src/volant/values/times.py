"""The plans of dates, times and time zones: naive stays naive, aware keeps its zone and its fold."""

from datetime import date, datetime, time, timedelta, timezone, tzinfo
from struct import Struct
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from volant.values.plans import Plan
from volant.values.scalars import read_int, write_int
from volant.values.wire import (
    DATE,
    DATETIME,
    NONE,
    TIME,
    TIMEDELTA,
    TIMEZONE,
    ZONEINFO,
    Misread,
    Sink,
    Source,
    Unencodable,
    class_of,
    read_text,
    write_text,
)

_DATE: Final = Struct(">HBB")
_CLOCK: Final = Struct(">BBBIB")


class DatePlan(Plan):
    """`date`; a `datetime` is one and stays a `datetime`."""

    __slots__ = ()
    cls = date
    tags = frozenset({DATE})
    total = True

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) is not date:
            self.write_kin(value, out)
            return
        out.append(DATE)
        out += _DATE.pack(value.year, value.month, value.day)

    def read(self, source: Source) -> Any:
        if source.peek() != DATE:
            return self.read_kin(source)
        source.pos += 1
        return date(*_DATE.unpack(source.take(4)))


class TimePlan(Plan):
    """`time`."""

    __slots__ = ()
    cls = time
    tags = frozenset({TIME})
    total = True

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) is not time:
            self.write_kin(value, out)
            return
        out.append(TIME)
        out += _CLOCK.pack(value.hour, value.minute, value.second, value.microsecond, value.fold)
        _write_zone(value.tzinfo, out)

    def read(self, source: Source) -> Any:
        if source.peek() != TIME:
            return self.read_kin(source)
        source.pos += 1
        hour, minute, second, micro, fold = _CLOCK.unpack(source.take(8))
        return time(hour, minute, second, micro, tzinfo=_read_zone(source), fold=fold)


class DatetimePlan(Plan):
    """`datetime`."""

    __slots__ = ()
    cls = datetime
    tags = frozenset({DATETIME})
    total = True

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) is not datetime:
            self.write_kin(value, out)
            return
        out.append(DATETIME)
        out += _DATE.pack(value.year, value.month, value.day)
        out += _CLOCK.pack(value.hour, value.minute, value.second, value.microsecond, value.fold)
        _write_zone(value.tzinfo, out)

    def read(self, source: Source) -> Any:
        if source.peek() != DATETIME:
            return self.read_kin(source)
        source.pos += 1
        year, month, day = _DATE.unpack(source.take(4))
        hour, minute, second, micro, fold = _CLOCK.unpack(source.take(8))
        return datetime(year, month, day, hour, minute, second, micro, tzinfo=_read_zone(source), fold=fold)


class TimedeltaPlan(Plan):
    """`timedelta`."""

    __slots__ = ()
    cls = timedelta
    tags = frozenset({TIMEDELTA})
    total = True

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) is not timedelta:
            self.write_kin(value, out)
            return
        out.append(TIMEDELTA)
        _write_delta(value, out)

    def read(self, source: Source) -> Any:
        if source.peek() != TIMEDELTA:
            return self.read_kin(source)
        source.pos += 1
        return _read_delta(source)


class TimezonePlan(Plan):
    """`timezone`: a fixed offset, with its name if it was given one."""

    __slots__ = ()
    cls = timezone
    tags = frozenset({TIMEZONE})
    total = True

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) is not timezone:
            raise self.misfit(value)
        offset, *name = value.__getinitargs__()
        out.append(TIMEZONE)
        _write_delta(offset, out)
        out.append(len(name))
        if name:
            write_text(name[0], out)

    def read(self, source: Source) -> Any:
        if source.peek() != TIMEZONE:
            return self.read_kin(source)
        source.pos += 1
        offset = _read_delta(source)
        named = source.take(1)[0]
        if named > 1:
            raise Misread(f"found {named} names of a time zone, wanted at most one")
        return timezone(offset, read_text(source)) if named else timezone(offset)


class ZoneInfoPlan(Plan):
    """`ZoneInfo`, by its key."""

    __slots__ = ()
    cls = ZoneInfo
    tags = frozenset({ZONEINFO})

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) is not ZoneInfo:
            self.write_kin(value, out)
            return
        if value.key is None:  # pyright: ignore[reportUnnecessaryComparison] - None when made by from_file
            raise Unencodable("a ZoneInfo made from a file has no key to find it by")
        out.append(ZONEINFO)
        write_text(value.key, out)

    def read(self, source: Source) -> Any:
        if source.peek() != ZONEINFO:
            return self.read_kin(source)
        source.pos += 1
        key = read_text(source)
        try:
            return ZoneInfo(key)
        except ZoneInfoNotFoundError as error:
            raise Misread(f"the time zone {key!r} is not known on this machine") from error


def _write_delta(value: timedelta, out: bytearray) -> None:
    write_int(value.days, out)
    write_int(value.seconds, out)
    write_int(value.microseconds, out)


def _read_delta(source: Source) -> timedelta:
    days = read_int(source)
    seconds = read_int(source)
    return timedelta(days, seconds, read_int(source))


def _write_zone(zone: tzinfo | None, out: Sink) -> None:
    if zone is None:
        out.append(NONE)
    else:
        out.dynamic.write(zone, out)


def _read_zone(source: Source) -> tzinfo | None:
    if source.peek() == NONE:
        source.pos += 1
        return None
    zone: tzinfo = source.dynamic.read(source)
    return zone
