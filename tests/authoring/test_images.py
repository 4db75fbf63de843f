"""Images are data: a starting point and layers, each call a new one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from volant.authoring.images import Image, Layer
from volant.model.errors import DefinitionError, DefinitionTypeError, UnknownParameterError

HERE = Path(__file__)
BASE = Image.from_debian_base()


def test_a_starting_point_is_data() -> None:
    image = Image.from_debian_base("3.12", name="tools", registry="ghcr.io/acme", platform="linux/amd64")
    assert (image.python_version, image.name, image.registry) == ("3.12", "tools", "ghcr.io/acme")
    assert image.platform == ("linux/amd64",)
    assert Image.from_debian_base(python="3.12") == Image.from_debian_base((3, 12)) == Image.from_debian_base("3.12")
    assert Image.from_base("acme/tools:1").reference == "acme/tools:1"
    assert Image.from_dockerfile(HERE.name).layers == (Layer("dockerfile", (str(HERE),)),)
    assert Image.from_uv_script(HERE.name, python_version="3.12").layers == (Layer("uv_script", (str(HERE),)),)


@pytest.mark.parametrize(
    ("add", "layer"),
    [
        (lambda: BASE.with_pip_packages("pandas>=2", "httpx"), Layer("pip", ("pandas>=2", "httpx"))),
        (
            lambda: BASE.with_pip_packages("a", index_url="https://i", extra_index_urls="https://e", pre=True),
            Layer("pip", ("a", "--index-url=https://i", "--extra-index-url=https://e", "--pre")),
        ),
        (
            lambda: BASE.with_requirements(HERE.name, extra_args="--no-deps"),
            Layer("requirements", (str(HERE), "--extra-args=--no-deps")),
        ),
        (
            lambda: BASE.with_uv_project("conftest.py", HERE),
            Layer("uv_project", (str(HERE.parent / "conftest.py"), str(HERE), "--mode=dependencies_only")),
        ),
        (lambda: BASE.with_apt_packages("curl", "git"), Layer("apt", ("curl", "git"))),
        (lambda: BASE.with_commands(["echo a", "echo b"]), Layer("commands", ("echo a", "echo b"))),
        (lambda: BASE.with_env_vars({"A": "x=y"}), Layer("env", ("A=x=y",))),
        (lambda: BASE.with_source_file(HERE), Layer("source_file", (str(HERE), "."))),
        (lambda: BASE.with_source_folder("."), Layer("source_folder", (str(HERE.parent), "."))),
        (
            lambda: BASE.with_source_folder("..", "/app", copy_contents_only=True),
            Layer("source_folder", (str(HERE.parent.parent), "/app", "--contents")),
        ),
        (lambda: BASE.with_workdir("/app"), Layer("workdir", ("/app",))),
        (lambda: BASE.with_dockerignore(HERE), Layer("dockerignore", (str(HERE),))),
    ],
)
def test_every_layer_makes_a_new_image(add: Callable[[], Image], layer: Layer) -> None:
    assert add().layers == (layer,)
    assert BASE.layers == ()


def test_layers_add_up_in_order_and_images_compare_by_them() -> None:
    one = BASE.with_pip_packages("a").with_env_vars({"A": "1"})
    assert [layer.kind for layer in one.layers] == ["pip", "env"]
    assert one == BASE.with_pip_packages("a").with_env_vars({"A": "1"})
    assert one != BASE.with_env_vars({"A": "1"}).with_pip_packages("a")
    assert one.clone(name="x").layers == one.layers
    assert one.clone(name="x") != one


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: Image.from_debian_base("latest"),
            DefinitionError,
            "python_version is 'latest', expected a version such",
        ),
        (
            lambda: Image.from_debian_base(3.1),
            DefinitionTypeError,
            r"python_version is 3.1 \(float\), expected a version",
        ),
        (
            lambda: Image.from_debian_base("3.11", python="3.12"),
            DefinitionError,
            "python is '3.12', expected the same as",
        ),
        (lambda: Image.from_debian_base(platform="amd64"), DefinitionError, "platform is 'amd64', expected a platform"),
        (
            lambda: Image.from_base("not a reference"),
            DefinitionError,
            "reference is 'not a reference', expected an image",
        ),
        (
            lambda: Image.from_dockerfile("nowhere"),
            DefinitionError,
            "file is 'nowhere', expected something that exists in",
        ),
        (lambda: Image.from_uv_script("."), DefinitionError, "script is '.', expected a file"),
        (BASE.with_pip_packages, DefinitionError, r"packages is \(\), expected one or more"),
        (lambda: BASE.with_pip_packages(3), DefinitionTypeError, r"packages\[0\] is 3 \(int\), expected a str"),
        (lambda: BASE.with_pip_packages(""), DefinitionError, r"packages\[0\] is '', expected a str that is not empty"),
        (lambda: BASE.with_pip_packages("a", pre=1), DefinitionTypeError, r"pre is 1 \(int\), expected True or False"),
        (lambda: BASE.with_requirements("nowhere.txt"), DefinitionError, "file is 'nowhere.txt', expected something"),
        (lambda: BASE.with_uv_project(HERE), DefinitionError, "uvlock is .*uv.lock', expected something that exists"),
        (lambda: BASE.with_uv_project(HERE, HERE, project_install_mode="all"), DefinitionError, "'all', expected 'dep"),
        (BASE.with_apt_packages, DefinitionError, r"packages is \(\), expected one or more"),
        (
            lambda: BASE.with_commands("echo a"),
            DefinitionTypeError,
            r"commands is 'echo a' \(str\), expected a sequence",
        ),
        (lambda: BASE.with_commands([]), DefinitionError, "expected one or more"),
        (lambda: BASE.with_env_vars({"A": 1}), DefinitionTypeError, r"env_vars\['A'\] is 1 \(int\), expected a str"),
        (lambda: BASE.with_source_folder(HERE), DefinitionError, "src is .*, expected a folder"),
        (lambda: BASE.with_source_file(3), DefinitionTypeError, r"src is 3 \(int\), expected a path"),
        (lambda: BASE.with_pip_packages("a", index="x"), UnknownParameterError, "'index'; did you mean 'index_url'"),
        (lambda: Image.from_debian_base(pyton="3.12"), UnknownParameterError, "'pyton'; did you mean 'python'"),
    ],
)
def test_what_cannot_be_is_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
