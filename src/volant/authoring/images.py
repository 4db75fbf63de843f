"""The software a task needs, as data: a starting point and layers on top of it."""

import os
import re
from collections.abc import Mapping, Sequence

from volant.authoring.declarations import declared_by_caller
from volant.authoring.validation import (
    choice,
    filled_text,
    flag,
    is_sequence,
    items,
    known_keywords,
    path_text,
    refuse_type,
    refuse_value,
    texts,
    variables,
)
from volant.authoring.value import Value
from volant.kit.nearest import did_you_mean

AnyPath = str | os.PathLike[str]
_PYTHON = re.compile(r"3\.[0-9]+(\.[0-9]+)?", re.ASCII)
_REQUIREMENT = re.compile(r"[A-Za-z0-9./~]")
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@+-]*|.*\{\{.+\}\}.*", re.ASCII)


class Layer(Value):
    """One layer of an image: what kind it is, and its arguments as text; options look like `--name=value`."""

    kind: str
    arguments: tuple[str, ...]

    def __init__(self, kind: str, arguments: Sequence[str] = ()) -> None:
        self._keep(kind=filled_text("Layer", "kind", kind), arguments=texts("Layer", "arguments", arguments))


class Image(Value):
    """The software of an environment. Every method returns a new image.

    Start with one of the `from_...` constructors and add layers::

        Image.from_debian_base(python_version="3.12").with_pip_packages("pandas", "httpx")

    Files are looked up beside the file that names them. Where packages come from an index, `index_url` names it instead
    of PyPI, `extra_index_urls` are looked at too, `pre` takes pre-releases, and `extra_args` go to the installer.

    Every constructor and method raises a `DefinitionError` for a value that cannot be, such as a missing file.
    """

    reference: str | None
    """A container image; None is the plain base of this Python."""
    python_version: str | None
    """None is the running interpreter's."""
    name: str | None
    registry: str | None
    platform: tuple[str, ...]
    layers: tuple[Layer, ...]

    def __init__(
        self,
        *,
        reference: str | None = None,
        python_version: str | tuple[int, ...] | None = None,
        name: str | None = None,
        registry: str | None = None,
        platform: str | Sequence[str] | None = None,
        layers: Sequence[Layer] = (),
    ) -> None:
        self._keep(
            reference=None if reference is None else image_reference("Image", "reference", reference),
            python_version=_python(python_version),
            name=None if name is None else filled_text("Image", "name", name),
            registry=None if registry is None else filled_text("Image", "registry", registry),
            platform=_platforms(platform),
            layers=tuple(layers),
        )

    @classmethod
    @known_keywords("Image.from_debian_base")
    def from_debian_base(
        cls,
        python_version: str | tuple[int, ...] | None = None,
        *,
        python: str | tuple[int, ...] | None = None,
        name: str | None = None,
        registry: str | None = None,
        platform: str | Sequence[str] | None = None,
    ) -> "Image":
        """Debian with a Python, by default the running one; `python` is another spelling of `python_version`."""
        if python is not None and python_version is not None and _python(python) != _python(python_version):
            refuse_value("Image", "python", python, f"the same as python_version, {python_version!r}")
        return cls(python_version=python_version or python, name=name, registry=registry, platform=platform)

    @classmethod
    @known_keywords("Image.from_base")
    def from_base(cls, image_uri: str) -> "Image":
        """A container image that exists already."""
        return cls(reference=image_uri)

    @classmethod
    @known_keywords("Image.from_dockerfile")
    def from_dockerfile(
        cls,
        file: AnyPath,
        *,
        name: str | None = None,
        registry: str | None = None,
        platform: str | Sequence[str] | None = None,
    ) -> "Image":
        """What a Dockerfile describes."""
        layer = Layer("dockerfile", (_existing_file("file", file),))
        return cls(name=name, registry=registry, platform=platform, layers=(layer,))

    @classmethod
    @known_keywords("Image.from_uv_script")
    def from_uv_script(
        cls,
        script: AnyPath,
        *,
        python_version: str | tuple[int, ...] | None = None,
        name: str | None = None,
        registry: str | None = None,
        platform: str | Sequence[str] | None = None,
        index_url: str | None = None,
        extra_index_urls: str | Sequence[str] | None = None,
        pre: bool = False,
        extra_args: str | None = None,
    ) -> "Image":
        """The dependencies that a script states in its inline metadata (PEP 723)."""
        options = _pip_options(index_url, extra_index_urls, pre, extra_args)
        layer = Layer("uv_script", (_existing_file("script", script), *options))
        base = cls(python_version=python_version, name=name, registry=registry, platform=platform)
        return base._with(layer)

    @known_keywords("Image.with_pip_packages")
    def with_pip_packages(
        self,
        *packages: str,
        index_url: str | None = None,
        extra_index_urls: str | Sequence[str] | None = None,
        pre: bool = False,
        extra_args: str | None = None,
    ) -> "Image":
        """Add packages from an index: `with_pip_packages("pandas>=2", "httpx")`."""
        names = _some("with_pip_packages", "packages", packages)
        for index, name in enumerate(names):
            if not _REQUIREMENT.match(name):
                wanted = "a requirement such as 'pandas>=2'"
                refuse_value("Image.with_pip_packages", f"packages[{index}]", name, wanted)
        return self._with(Layer("pip", (*names, *_pip_options(index_url, extra_index_urls, pre, extra_args))))

    @known_keywords("Image.with_requirements")
    def with_requirements(
        self,
        file: AnyPath,
        *,
        index_url: str | None = None,
        extra_index_urls: str | Sequence[str] | None = None,
        pre: bool = False,
        extra_args: str | None = None,
    ) -> "Image":
        """Add the packages of a requirements file."""
        options = _pip_options(index_url, extra_index_urls, pre, extra_args)
        return self._with(Layer("requirements", (_existing_file("file", file), *options)))

    @known_keywords("Image.with_uv_project")
    def with_uv_project(
        self,
        pyproject_file: AnyPath,
        uvlock: AnyPath | None = None,
        *,
        index_url: str | None = None,
        extra_index_urls: str | Sequence[str] | None = None,
        pre: bool = False,
        extra_args: str | None = None,
        project_install_mode: str = "dependencies_only",
    ) -> "Image":
        """Add the locked dependencies of a project, or with `"install_project"` the project too."""
        project = _existing_file("pyproject_file", pyproject_file)
        lock = _existing_file(
            "uvlock", uvlock if uvlock is not None else os.path.join(os.path.dirname(project), "uv.lock")
        )
        modes = ("dependencies_only", "install_project")
        mode = choice("Image", "project_install_mode", project_install_mode, modes)
        options = _pip_options(index_url, extra_index_urls, pre, extra_args)
        return self._with(Layer("uv_project", (project, lock, f"--mode={mode}", *options)))

    @known_keywords("Image.with_apt_packages")
    def with_apt_packages(self, *packages: str) -> "Image":
        """Add packages of the base's distribution; containers only."""
        return self._with(Layer("apt", _some("with_apt_packages", "packages", packages)))

    @known_keywords("Image.with_commands")
    def with_commands(self, commands: Sequence[str]) -> "Image":
        """Run shell commands while the image is built; containers only."""
        return self._with(Layer("commands", _some("with_commands", "commands", texts("Image", "commands", commands))))

    @known_keywords("Image.with_env_vars")
    def with_env_vars(self, env_vars: Mapping[str, str]) -> "Image":
        """Set environment variables; those of environments, tasks and runs win."""
        pairs = variables("Image", "env_vars", env_vars).items()
        return self._with(Layer("env", tuple(f"{name}={value}" for name, value in pairs)))

    @known_keywords("Image.with_source_file")
    def with_source_file(self, src: AnyPath, dst: str = ".") -> "Image":
        """Copy a file into the image."""
        return self._with(Layer("source_file", (_existing_file("src", src), filled_text("Image", "dst", dst))))

    @known_keywords("Image.with_source_folder")
    def with_source_folder(self, src: AnyPath, dst: str = ".", copy_contents_only: bool = False) -> "Image":
        """Copy a folder, or only what is in it, into the image."""
        folder = _existing("src", src)
        if not os.path.isdir(folder):
            refuse_value("Image", "src", src, "a folder")
        contents = ("--contents",) if flag("Image", "copy_contents_only", copy_contents_only) else ()
        return self._with(Layer("source_folder", (folder, filled_text("Image", "dst", dst), *contents)))

    @known_keywords("Image.with_workdir")
    def with_workdir(self, workdir: str) -> "Image":
        """Start in this folder; containers only."""
        return self._with(Layer("workdir", (path_text("Image", "workdir", workdir),)))

    @known_keywords("Image.with_dockerignore")
    def with_dockerignore(self, path: AnyPath) -> "Image":
        """Leave out of copied folders what this file lists."""
        return self._with(Layer("dockerignore", (_existing_file("path", path),)))

    @known_keywords("Image.clone")
    def clone(
        self,
        *,
        name: str | None = None,
        registry: str | None = None,
        python_version: str | tuple[int, ...] | None = None,
        platform: str | Sequence[str] | None = None,
    ) -> "Image":
        """The same layers under another name, registry, Python or platform."""
        return Image(
            reference=self.reference,
            python_version=self.python_version if python_version is None else python_version,
            name=self.name if name is None else name,
            registry=self.registry if registry is None else registry,
            platform=self.platform if platform is None else platform,
            layers=self.layers,
        )

    def _with(self, layer: Layer) -> "Image":
        made = self.clone()
        made._keep(layers=(*self.layers, layer))
        return made


def image_reference(where: str, parameter: str, value: object) -> str:
    """A reference such as `ghcr.io/acme/tools:1.2`."""
    if not _REFERENCE.fullmatch(filled_text(where, parameter, value)):
        refuse_value(where, parameter, value, "an image reference such as 'ghcr.io/acme/tools:1.2'")
    return str(value)


def as_image(where: str, value: object) -> Image | str:
    """An image, a reference, or `"auto"`."""
    if isinstance(value, Image):
        return value
    if not isinstance(value, str):
        refuse_type(where, "image", value, "an Image, an image reference or 'auto'")
    return value if value == "auto" else image_reference(where, "image", value)


def _python(value: object) -> str | None:
    if value is None:
        return None
    wanted = "a version such as '3.12'"
    if is_sequence(value):
        value = ".".join(str(part) for part in items("Image", "python_version", value, wanted))
    if not isinstance(value, str):
        refuse_type("Image", "python_version", value, wanted)
    if not _PYTHON.fullmatch(value):
        refuse_value("Image", "python_version", value, wanted)
    return value


def _platforms(value: str | Sequence[str] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    found = texts("Image", "platform", (value,) if isinstance(value, str) else value)
    for platform in found:
        if not re.fullmatch(r"linux/[a-z0-9]+(/v[0-9]+)?", platform):
            refuse_value("Image", "platform", platform, "a platform such as 'linux/amd64'")
    return found


def _pip_options(
    index_url: str | None, extra_index_urls: str | Sequence[str] | None, pre: bool, extra_args: str | None
) -> tuple[str, ...]:
    options: list[str] = []
    if index_url is not None:
        options.append(f"--index-url={filled_text('Image', 'index_url', index_url)}")
    if extra_index_urls is not None:
        urls = (extra_index_urls,) if isinstance(extra_index_urls, str) else extra_index_urls
        options.extend(f"--extra-index-url={url}" for url in texts("Image", "extra_index_urls", urls))
    if flag("Image", "pre", pre):
        options.append("--pre")
    if extra_args is not None:
        options.append(f"--extra-args={filled_text('Image', 'extra_args', extra_args)}")
    return tuple(options)


def _some(method: str, parameter: str, values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        refuse_value(f"Image.{method}", parameter, values, "one or more")
    return texts(f"Image.{method}", parameter, values)


def _existing_file(parameter: str, path: object) -> str:
    found = _existing(parameter, path)
    if not os.path.isfile(found):
        refuse_value("Image", parameter, path, "a file")
    return found


def _existing(parameter: str, path: object) -> str:
    """The absolute path of something beside the declaring file."""
    folder = declared_by_caller().folder
    found = os.path.normpath(os.path.join(folder, path_text("Image", parameter, path)))
    if not os.path.exists(found):
        suggestion = did_you_mean(os.path.basename(found), _names_beside(found))
        hint = "paths are relative to the file that names them"
        refuse_value("Image", parameter, path, f"something that exists in {folder}{suggestion}", hint=hint)
    return found


def _names_beside(path: str) -> list[str]:
    try:
        return os.listdir(os.path.dirname(path))
    except OSError:
        return []
