"""JSON of the command line to what pydantic knows: models, and everything that holds them."""

from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError


class Unknown(TypeError):
    """A type that pydantic does not know."""


def parse_model(text: str, annotation: Any) -> Any:
    """The value that the JSON stands for.

    Raises:
        Unknown: the annotation is not for pydantic.
        ValueError: it stands for none; the message says where and why.
    """
    try:
        return TypeAdapter(annotation).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        msg = f"{place}: {first['msg']}" if place else first["msg"]
        raise ValueError(msg) from None
    except PydanticUserError as error:
        raise Unknown(str(error)) from error
