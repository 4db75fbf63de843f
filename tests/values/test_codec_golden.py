"""The bytes of format version 1, one line for each kind of value. They never change."""
# ruff: noqa: E501 - a line for each value

import hashlib
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy
import pandas
import polars
import pyarrow
import pytest

from tests.values import sample_types as samples
from tests.values.typed_values import identity
from volant.io import Dir, File
from volant.model.errors import ValueCodecError
from volant.model.payloads import Blob
from volant.values import wire
from volant.values.codec import decode, encode

GOLDEN: list[tuple[Any, Any, str]] = [
    (None, None, '0100'),
    (bool, False, '0101'),
    (bool, True, '0102'),
    (int, 0, '0180'),
    (int, 127, '01ff'),
    (int, 128, '0103020080'),
    (int, -1, '010301ff'),
    (int, -129, '010302ff7f'),
    (int, 2**70, '010309400000000000000000'),
    (float, 1.5, '01043ff8000000000000'),
    (float, float("-inf"), '0104fff0000000000000'),
    (complex, 1 - 2j, '01053ff0000000000000c000000000000000'),
    (str, "", '010600'),
    (str, "aé", '01060361c3a9'),
    (str, "\ud800", '010603eda080'),
    (str, "x" * 128, '010680017878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878'),
    (bytes, b"\x00\xff", '01070200ff'),
    (bytearray, bytearray(b"a"), '01080161'),
    (type(...), ..., '0109'),
    (list[int], [1, 300], '011002810302012c'),
    (Any, [1, "a", None], '0110038106016100'),
    (tuple[int, str], (1, "a"), '01110281060161'),
    (tuple[int, ...], (), '011100'),
    (dict[str, int], {"b": 1, "a": 2}, '0112020601628106016182'),
    (set[str], {"b", "a", "ab"}, '01130306016106016206026162'),
    (frozenset[int], frozenset({3, 1, 2}), '011403818283'),
    (deque[int], deque([1], 3), '0115830181'),
    (OrderedDict[str, int], OrderedDict(a=1), '01160106016181'),
    (defaultdict[str, list[int]], defaultdict(list, a=[1]), '0117400d6275696c74696e733a6c69737401060161100181'),
    (Counter[str], Counter("aab"), '0118020601618206016281'),
    (range, range(1, 10, 2), '0119818a82'),
    (slice, slice(None, 5), '011a008500'),
    (Decimal, Decimal("-1.50E+3"), '0120082d312e3530452b33'),
    (Decimal, Decimal("sNaN7"), '012005534e414e37'),
    (Fraction, Fraction(-1, 3), '01210301ff83'),
    (UUID, UUID(int=1), '01220000000000000000000000000000000100'),
    (PurePosixPath, PurePosixPath("a/b"), '01230003612f62'),
    (PureWindowsPath, PureWindowsPath("c:/b"), '01230104633a5c62'),
    (date, date(2024, 2, 29), '012407e8021d'),
    (time, time(1, 2, 3, 4, fold=1), '0125010203000000040100'),
    (datetime, datetime(2024, 2, 29, 1, 2, 3, 4), '012607e8021d010203000000040000'),
    (datetime, datetime(2024, 2, 29, tzinfo=UTC), '012607e8021d00000000000000002880808000'),
    (datetime, datetime(2024, 2, 29, tzinfo=ZoneInfo("Europe/Paris"), fold=1), '012607e8021d0000000000000001290c4575726f70652f5061726973'),
    (datetime, datetime(2024, 2, 29, tzinfo=timezone(timedelta(hours=1), "X")), '012607e8021d0000000000000000288003020e1080010158'),
    (timedelta, timedelta(-1, 2, 3), '01270301ff8283'),
    (timezone, timezone(timedelta(hours=-5)), '01280301ff0303010b308000'),
    (ZoneInfo, ZoneInfo("UTC"), '012903555443'),
    (samples.Color, samples.Color.GREEN, '01320605475245454e'),
    (samples.Right, samples.Right.READ | samples.Right.RUN, '013285'),
    (Any, samples.Color.RED, '01331f74657374732e76616c7565732e73616d706c655f74797065733a436f6c6f720603524544'),
    (Literal["a", 1], "a", '01060161'),
    (samples.Point, samples.Point(1, 2), '013002017881017982'),
    (samples.Point, samples.Point3(1, 2, 3), '01312074657374732e76616c7565732e73616d706c655f74797065733a506f696e743303017881017982017a83'),
    (Any, samples.Point(1, 2), '01311f74657374732e76616c7565732e73616d706c655f74797065733a506f696e7402017881017982'),
    (samples.Order, samples.Order(price=1.0, items=["a"]), '013003057072696365043ff0000000000000056974656d73100106016106706c6163656400'),
    (samples.Derived, samples.Derived(2, 3), '01300204626173658206726573756c7486'),
    (samples.Box[int], samples.Box(1), '013001046974656d81'),
    (samples.Coordinate, samples.Coordinate(1), '0130020178810179043fe0000000000000'),
    (Any, samples.Row(1, "a"), '01311d74657374732e76616c7565732e73616d706c655f74797065733a526f77020161810162060161'),
    (samples.Movie, {"title": "a", "year": 1}, '01120206057469746c6506016106047965617281'),
    (samples.User, samples.User(id=1), '01300402696481046e616d6506066e6f626f647904746167731000012a110106026964'),
    (samples.Team, samples.Team(lead=samples.Admin(id=2), crate=samples.Crate[int](content=3)), '013004046c656164311f74657374732e76616c7565732e73616d706c655f74797065733a41646d696e0502696482046e616d6506066e6f626f6479047461677310000672696768747332060452454144012a1101060269640473697a6581056372617465300107636f6e74656e7483012a11020605637261746506046c656164'),
    (samples.Loose, samples.Loose(id=1, more="a"), '01300302696481052b6d6f7265060161082d5f73656372657487'),
    (Any, samples.Crate[int](content=1), '01312d74657374732e76616c7565732e73616d706c655f74797065733a43726174655b6275696c74696e733a696e745d0107636f6e74656e7481'),
    (int | str, "a", '01060161'),
    (samples.Point | samples.Place, samples.Place(1, 2), '013405506c6163653002017881017982'),
    (samples.Point | None, samples.Point(1, 2), '013002017881017982'),
    (type[Any], samples.Point, '01401f74657374732e76616c7565732e73616d706c655f74797065733a506f696e74'),
    (Any, int, '01400c6275696c74696e733a696e74'),
    (Callable[[int], int], samples.double, '01412074657374732e76616c7565732e73616d706c655f74797065733a646f75626c65'),
    (Any, len, '01410c6275696c74696e733a6c656e'),
    (samples.Celsius, samples.Celsius(20), '01422174657374732e76616c7565732e73616d706c655f74797065733a43656c73697573023230'),
    (samples.Kelvin, samples.Kelvin(5, "x"), '01470335204b422074657374732e76616c7565732e73616d706c655f74797065733a4b656c76696e03352078'),
    (Any, numpy.int16(-2), '0144033c693202feff'),
    (Any, numpy.float64(0.5), '0144033c663808000000000000e03f'),
    (Any, numpy.datetime64("2024-02-29", "D"), '0144063c4d385b445d08464d000000000000'),
    (numpy.ndarray, numpy.array([[1, 2]], "i2"), '014506033c693200020102000401000200'),
    (numpy.ndarray, numpy.asfortranarray(numpy.zeros((2, 2), "?")), '014506037c623101020202000400000000'),
    (numpy.ndarray, numpy.array(["a", "bc"], object), '014506027c4f0201020010010000000000000002000000000000000003616263'),
    (numpy.ndarray, numpy.array([None, 1], object), '014506027c4f0001020081'),
    (numpy.ndarray, numpy.array([(1, 2.5)], [("a", "i1"), ("b", ">f4")]), '0145110506066669656c647385010111021104060161800006037c69311104060162810006033e663400010100050140200000'),
    (Any, numpy.str_("a"), '01460a6e756d70793a7374725f110200060161'),
    (pandas.DataFrame, pandas.DataFrame({"a": [1, 2], "b": ["x", None]}, index=[3, 5], dtype=object), '01461070616e6461733a446174614672616d651106110282821104060676616c756573110206056e756d70794506033c693800010200100300000000000000050000000000000000001104060676616c756573110506057465787473060770796172726f77014506027c4f0201020010010000000000000001000000000000000002616200000011021102110180110206056e756d70794506027c4f00010281821102110181110206056e756d70794506027c4f00010206017800120002'),
    (pandas.DataFrame, pandas.DataFrame({"a": [1, 2], "b": [3, 4]}), '01461070616e6461733a446174614672616d651106110282821105060572616e6765808281001104060676616c756573110506057465787473060770796172726f77014506027c4f02010200100100000000000000010000000000000000026162000000110111021102808111020605737461636b4506033c69380002020200200100000000000000020000000000000003000000000000000400000000000000120002'),
    (pandas.Series, pandas.Series([1, None], dtype="Int8", name="n"), '01460d70616e6461733a53657269657311061101821105060572616e67658082810006016e110306066d61736b65644506037c6931000102000201004506037c623100010200020001120002'),
    (Any, pandas.Timestamp("2024-02-29", tz="UTC").as_unit("s"), '01461070616e6461733a54696d657374616d7011030044063c4d385b735d0800c9df65000000002880808000'),
    (pyarrow.Table, pyarrow.table({"a": ["x", None], "b": [[1], None]}), '01460d70796172726f773a5461626c65110411028282110211040601610606737472696e6702001104060162110206046c697374110406046974656d0605696e743634020002000011021104824506037c75310001010001014506033c69380001020010010000000000000000000000000000004506037c75310001010001781104824506037c75310001010001014506033c6938000102001001000000000000000000000000000000110381004506037c753100010800080100000000000000'),
    (polars.DataFrame, polars.DataFrame({"a": [1, None]}), '014610706f6c6172733a446174614672616d65110211028281110111030601610605496e74363411020605696e7436341103824506037c75310001010001014506037c7531000110001001000000000000000000000000000000'),
    (File, File(name="a", format="csv", blob=Blob(digest="ab" * 32, size=5)), '01490446696c6511040601610603637376000600010001abababababababababababababababababababababababababababababababab05'),
    (Dir, Dir(name="d", hash="k", files={"b/c": Blob(digest="ab" * 32, size=5)}), '0149034469721103060164060006016b0103622f6301abababababababababababababababababababababababababababababababab05'),
]  # fmt: skip


@pytest.mark.parametrize(
    ("annotation", "value", "expected"), GOLDEN, ids=[f"{row[0]}-{n}" for n, row in enumerate(GOLDEN)]
)
def test_format_version_1_has_these_bytes_for_ever(annotation: Any, value: Any, expected: str) -> None:
    assert encode(value, annotation).data.hex() == expected
    assert identity(decode(bytes.fromhex(expected), annotation)) == identity(value)


def test_the_digest_is_blake2b_256_of_the_bytes() -> None:
    encoded = encode([1, 300], list[int])
    assert encoded.data.hex() == "011002810302012c"
    assert encoded.digest == hashlib.blake2b(bytes.fromhex("011002810302012c"), digest_size=32).hexdigest()


def test_every_tag_starts_a_line_of_the_table() -> None:
    seen = {bytes.fromhex(data)[1] for _, _, data in GOLDEN}
    assert {tag for tag in seen if tag < wire.SMALL_INT} == wire.TAG_NAMES.keys() - {
        wire.PICKLE,
        wire.ABSENT,
        wire.HASHED,
    }


def test_other_format_versions_are_refused_by_number() -> None:
    with pytest.raises(ValueCodecError, match="found format version 2, wanted format version 1"):
        decode(bytes([2, 0]), None, where="x")
    with pytest.raises(ValueCodecError, match="found no bytes"):
        decode(b"", None)
