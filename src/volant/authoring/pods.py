"""Pods for Kubernetes, as data."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from volant.authoring.validation import filled_text, is_sequence, refuse_type, text, text_map
from volant.authoring.value import Value


class PodTemplate(Value):
    """A pod around the task.

    Args:
        pod_spec: a dict as in YAML, or an object of `kubernetes`.
        primary_container_name: the container that the task runs in; added when the spec does not have it.
        labels: of the pod.
        annotations: of the pod.

    Raises:
        DefinitionError: something that is not plain data as in YAML, or a container without a name.
    """

    pod_spec: Mapping[str, Any] | None
    primary_container_name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    def __init__(
        self,
        pod_spec: object = None,
        primary_container_name: str = "primary",
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        self._keep(
            pod_spec=None if pod_spec is None else _pod_spec(pod_spec),
            primary_container_name=filled_text("PodTemplate", "primary_container_name", primary_container_name),
            labels=text_map("PodTemplate", "labels", labels or {}),
            annotations=text_map("PodTemplate", "annotations", annotations or {}),
        )

    def to_json(self) -> str:
        """The template as JSON, keys in order."""
        return msgspec.json.encode(self.__dict__, order="sorted").decode()

    def _content(self) -> object:
        return self.to_json()


def as_pod_template(where: str, value: object) -> PodTemplate | str:
    """A template or the name of one; an empty name means none."""
    if isinstance(value, PodTemplate):
        return value
    if not isinstance(value, str):
        refuse_type(where, "pod_template", value, "the name of a template or a PodTemplate")
    return text(where, "pod_template", value)


def _pod_spec(value: object) -> dict[str, Any]:
    plain = _plain(value)
    if not isinstance(plain, dict):
        refuse_type("PodTemplate", "pod_spec", value, "a dict or a V1PodSpec")
    spec = cast("dict[str, Any]", plain)
    containers = spec.get("containers", [])
    if not is_sequence(containers):
        refuse_type("PodTemplate", "pod_spec['containers']", containers, "a list of containers")
    for index, container in enumerate(containers):
        name: object = cast("dict[str, Any]", container).get("name") if isinstance(container, dict) else None
        filled_text("PodTemplate", f"the name of pod_spec['containers'][{index}]", name)
    return spec


def _plain(value: Any) -> Any:
    """What JSON can say of *value*; the objects of the `kubernetes` package know their own field names."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return {filled_text("PodTemplate", "a key in pod_spec", key): _plain(item) for key, item in pairs}
    if is_sequence(value):
        return [_plain(item) for item in value]
    names = getattr(value, "attribute_map", None)
    if not isinstance(names, dict):
        refuse_type("PodTemplate", "pod_spec", value, "plain data as in YAML")
    fields = ((key, getattr(value, name)) for name, key in cast("dict[str, str]", names).items())
    return {key: _plain(item) for key, item in fields if item is not None}
