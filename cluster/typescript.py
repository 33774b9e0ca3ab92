"""TypeScript of Pydantic models and channels: `cluster types myapp.models myapp:hub --out web/src/types.ts`."""

from __future__ import annotations

import inspect
import logging
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from pydantic import BaseModel, RootModel

from .errors import ConfigurationError
from .imports import load_hub, load_module

BANNER = """\
// Made from Pydantic models: cluster types {names}
// What is changed here is lost the next time.

"""

CHANNELS = """\

/** What is published on each channel. */
export interface Channels {{
{publishes}
}}

export type ChannelName = keyof Channels & string;

/** A publication of the channel `C`, as the `publication` event of a subscription tells it. */
export type PublicationOf<C extends ChannelName> = Omit<PublicationContext, 'data'> & {{ data: Channels[C] }};

/** `client.newSubscription`, with a listener that is given what is published on this very channel. */
export function subscription<C extends ChannelName>(
  client: Centrifuge,
  channel: C,
  onPublication: (publication: PublicationOf<C>) => void,
  options?: Partial<SubscriptionOptions>,
): Subscription {{
  return client.newSubscription(channel, options).on('publication', onPublication);
}}
"""

IMPORT = """\
import type { Centrifuge, PublicationContext, Subscription, SubscriptionOptions } from 'centrifuge';

"""


class Source(NamedTuple):
    """The models by name, and for each channel pattern the name of what it publishes."""

    models: dict[str, type[BaseModel]]
    channels: dict[str, str]


def generate(names: Sequence[str], out: Path) -> str:
    """The TypeScript of `names`, see `collect`. `out` is where it shall lie.

    Raises `ConfigurationError` when a module, or a program that this takes, is missing.
    """
    source = collect(names)
    text = BANNER.format(names=" ".join(names))
    if source.channels:
        text += IMPORT
    text += _definitions(source.models, find_json2ts(out))
    if source.channels:
        text += CHANNELS.format(publishes="\n".join(_member(*channel) for channel in source.channels.items()))
    return text


def write(text: str, out: Path) -> bool:
    """Put `text` into the file `out`, whole or not at all; whether that changed it."""
    if out.is_file() and out.read_text() == text:
        return False
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(out)
    return True


def watch(names: Sequence[str], out: Path) -> int:
    """Write `out` now and after every change of a Python file beside the modules named."""
    try:
        from watchfiles import PythonFilter, run_process
    except ImportError:
        raise _missing_extra() from None
    places: set[Path] = set()
    for name in names:
        found = find_spec(name.partition(":")[0])
        if found is None or found.origin is None:
            raise ConfigurationError(f"there is no module {name.partition(':')[0]!r}")
        places.add(Path(found.origin).parent)
    # A process of its own each time: a module that was imported once does not change any more.
    command = shlex.join([sys.executable, "-m", "cluster", "types", *names, "--out", str(out)])
    run_process(*places, target=command, target_type="command", watch_filter=PythonFilter())
    return 0


def collect(names: Iterable[str]) -> Source:
    """The models of each `module` named, and the channels of each hub named as `module:attribute`.

    Raises `ConfigurationError`.
    """
    source = Source({}, {})
    for name in names:
        if ":" in name:
            for channel in load_hub(name).declared:
                if channel.publishes is not None:
                    source.channels[channel.pattern] = _payload(source.models, channel.pattern, channel.publishes)
        else:
            for model_name, model in inspect.getmembers(load_module(name), _is_model):
                _add(source.models, model_name, model)
    if not source.models:
        raise ConfigurationError(f"there is no Pydantic model in {', '.join(names)}: name modules that have some")
    return source


def find_json2ts(out: Path) -> str:
    """json-schema-to-typescript: of the nearest `node_modules` above `out`, or on PATH. Raises `ConfigurationError`."""
    for directory in out.absolute().parents:
        found = directory / "node_modules" / ".bin" / "json2ts"
        if found.is_file():
            return str(found)
    if found_on_path := shutil.which("json2ts"):
        return found_on_path
    raise ConfigurationError("json2ts is missing: `npm install --save-dev json-schema-to-typescript` beside the output")


def _is_model(member: Any) -> bool:
    """Whether it is a model with something in it. What pydantic itself puts into a module is none."""
    if not (inspect.isclass(member) and issubclass(member, BaseModel) and member.model_fields):
        return False
    return member.__pydantic_generic_metadata__["origin"] is None


def _add(models: dict[str, type[BaseModel]], name: str, model: type[BaseModel]) -> None:
    if models.setdefault(name, model) is not model:
        raise ConfigurationError(f"two models are called {name}: one of them needs another name")


def _payload(models: dict[str, type[BaseModel]], pattern: str, publishes: Any) -> str:
    """The name of the model that `publishes` is, or is made to be."""
    if _is_model(publishes):
        _add(models, publishes.__name__, publishes)
        return str(publishes.__name__)
    name = "".join(word.capitalize() for word in re.findall(r"[A-Za-z0-9]+", pattern)) + "Publication"
    # A schema is made for models only; whatever else a channel carries becomes one.
    _add(models, name, type(name, (RootModel[publishes],), {"__module__": __name__}))
    return name


def _member(pattern: str, payload: str) -> str:
    """One line of the interface `Channels`."""
    template = re.sub(r"\{\w+\}", "${string}", pattern)
    return f"  [name: `{template}`]: {payload};" if template != pattern else f"  '{pattern}': {payload};"


def _definitions(models: dict[str, type[BaseModel]], json2ts: str) -> str:
    """What pydantic-to-typescript makes of the models, without its banner."""
    try:
        from pydantic2ts import generate_typescript_defs
    except ImportError:
        raise _missing_extra() from None
    logging.getLogger("pydantic2ts").setLevel(logging.WARNING)
    module = ModuleType("cluster_types_of_an_application")
    vars(module).update(models)
    sys.modules[module.__name__] = module
    try:
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory, "types.ts")
            generate_typescript_defs(module.__name__, str(file), json2ts_cmd=json2ts)
            _, _, definitions = file.read_text().partition("*/\n\n")  # after its own banner
            return definitions
    except RuntimeError as error:
        raise ConfigurationError(f"{error}: does `{json2ts}` run?") from None
    finally:
        del sys.modules[module.__name__]


def _missing_extra() -> ConfigurationError:
    return ConfigurationError("TypeScript needs the extra 'types': pip install fastapi-websocket-sync[types]")
