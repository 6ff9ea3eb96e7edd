"""Whatever a stranger sends is answered by a result or by an error of ours, in bounded time, memory and places.

HFVAE_FUZZ=450 pytest tests/test_fuzz.py tries so many inputs a test, new ones each time.
"""

from __future__ import annotations

import base64
import copy
import json
import logging
import os
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from support import REPOSITORY, TINY

from hfvae import VAE, hub, sketch
from hfvae.demo import api, serialization
from hfvae.demo.blocks import SHARED
from hfvae.demo.cards import read_card, to_html
from hfvae.demo.draw import draw
from hfvae.demo.latent_map.atlas import atlas
from hfvae.demo.registry import PAD_SIDE, ModelRegistry
from hfvae.demo.sliders import morph, prior
from hfvae.demo.widget import answering
from hfvae.hub import layout, validate_card

CASES = int(os.environ.get("HFVAE_FUZZ", "0"))
MEMORY = 600 << 20
"""Bytes by which a test's peak may exceed what was there before it."""
fuzz = settings(
    max_examples=CASES or 60,
    derandomize=not CASES,
    deadline=timedelta(seconds=120 if CASES else 20),  # a machine may pause for a while in half an hour
    database=None,
    suppress_health_check=list(HealthCheck),
)

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5)
)


@pytest.fixture(autouse=True)
def _bounded_memory() -> Iterator[None]:
    """The process's peak is reset before a test and read after it."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _kilobytes("VmRSS")
    logging.disable()  # pytest would keep every record, and with its traceback the model
    yield
    logging.disable(logging.NOTSET)
    assert (_kilobytes("VmHWM") - before) << 10 < MEMORY


def _kilobytes(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(key)))


opened: list[str] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if opened is not None and event == "open" and isinstance(arguments[0], str | bytes):
        opened.append(os.path.realpath(os.fsdecode(arguments[0])))


sys.addaudithook(_note)


@contextmanager
def only_within(*folders: Path) -> Iterator[None]:
    """No file elsewhere is opened, but for what Python itself loads."""
    global opened
    opened = []
    try:
        yield
        allowed = [*folders, REPOSITORY / "hfvae", Path(sys.prefix), Path(sys.base_prefix), Path("/proc"), Path("/sys")]
        roots = tuple(os.path.realpath(folder) for folder in allowed)
        assert not [path for path in opened if not path.startswith(roots)]
    finally:
        opened = None


def model_with_codes(folder: Path) -> Path:
    """A tiny model of the class that the folder is named after."""
    vae = TINY[folder.name]()
    vae.save_pretrained(folder)
    hub.write_latents(folder, hub.Latents(torch.randn(40, vae.latent_dim), torch.arange(40) % 10, torch.randn(40)))
    return folder


@pytest.fixture(scope="module", params=sorted(TINY))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_with_codes(tmp_path_factory.mktemp("model") / request.param)


@pytest.fixture
def _empty_box(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No models to fall back upon."""
    monkeypatch.setattr("hfvae.hub.layout.BUNDLED", tmp_path)


@contextmanager
def restored(path: Path) -> Iterator[bytes]:
    whole = path.read_bytes()
    try:
        yield whole
    finally:
        path.write_bytes(whole)


def load(folder: Path, read: Callable[[Path], VAE] = VAE.from_pretrained, name: str = "") -> None:
    """What is read from the folder, or from a file in it, is a model that works, or one of our errors."""
    with only_within(folder):
        try:
            vae = read(folder / name)
        except hub.HubError:
            return
    with torch.no_grad():
        assert vae(torch.rand(2, *vae.image_shape)).mean.shape == (2, *vae.image_shape)


@fuzz
@given(data=st.data())
def test_config(folder: Path, data: st.DataObject) -> None:
    """Entries of a sound config replaced by anything, and JSON that is no config at all."""
    with restored(folder / hub.CONFIG) as whole:
        config = json.loads(whole)
        for key in data.draw(st.lists(st.sampled_from([*config, "strange"]), max_size=3)):
            config[key] = data.draw(json_values | st.integers(-2, 2**40) | st.lists(st.integers(-2, 10**6), max_size=6))
        text = json.dumps(data.draw(st.just(config) | json_values))
        (folder / hub.CONFIG).write_text(text, encoding="utf-8", errors="surrogatepass")
        load(folder)


@fuzz
@given(data=st.data())
def test_weights_file(folder: Path, data: st.DataObject) -> None:
    """Bytes changed, cut off or added, and headers that lie about shapes, types and offsets."""
    with restored(folder / hub.CONFIG) as config, restored(folder / hub.WEIGHTS) as whole:
        sound = {key: value for key, value in json.loads(config).items() if key != "sha256"}
        (folder / hub.CONFIG).write_text(json.dumps(sound))  # no checksum, or every change would end there
        size = struct.unpack("<Q", whole[:8])[0]
        header, tensors = json.loads(whole[8 : 8 + size]), whole[8 + size :]
        for name in data.draw(st.lists(st.sampled_from(sorted(header)), max_size=2)):
            lie = st.fixed_dictionaries(
                {},
                optional={
                    "dtype": st.sampled_from(["F32", "F16", "I64", "U8", "F8_E4M3", "X"]) | scalars,
                    "shape": st.lists(st.integers(-1, 2**40), max_size=4) | json_values,
                    "data_offsets": st.lists(st.integers(-1, 2**40), max_size=3) | json_values,
                },
            )
            told = header[name] if isinstance(header[name], dict) else {}
            header[name] = data.draw(lie.map(lambda lie, told=told: {**told, **lie}) | json_values)
        text = json.dumps(header).encode("utf-8", "surrogatepass")
        announced = data.draw(st.just(len(text)) | st.integers(0, 2**64 - 1))
        content = struct.pack("<Q", announced) + text + tensors
        content = data.draw(
            st.just(content)
            | st.integers(0, len(content)).map(lambda end: content[:end])
            | st.tuples(st.integers(0, len(content) - 1), st.binary(min_size=1, max_size=9)).map(
                lambda change: content[: change[0]] + change[1] + content[change[0] + len(change[1]) :]
            )
            | st.binary(max_size=200)
        )
        (folder / hub.WEIGHTS).write_bytes(content)
        load(folder)


@pytest.mark.usefixtures("_empty_box")
@fuzz
@given(data=st.data())
def test_codes_file(folder: Path, data: st.DataObject) -> None:
    """Latent codes of any shape, type and value: a registry shows the model with them, or says why it does not."""
    vae = VAE.from_pretrained(folder)
    shape = st.sampled_from([(40, vae.latent_dim), (0, vae.latent_dim), (1, vae.latent_dim), (40,), (40, 1000), ()])
    values = st.sampled_from([0.0, 1.0, -1.0, 9.0, 10.0, float("nan"), float("inf"), 6e4])
    dtype = st.sampled_from([torch.float16, torch.float32, torch.uint8, torch.int64, torch.float64])
    tensor = st.builds(lambda shape, value, dtype: torch.full(shape, value).to(dtype), shape, values, dtype)
    tensors = data.draw(
        st.fixed_dictionaries({"mean": tensor, "labels": tensor}, optional={"elbo": tensor, "more": tensor})
    )
    with restored(folder / hub.CONFIG), restored(folder / hub.LATENTS), only_within(folder):
        layout._write_tensors(folder / hub.LATENTS, tensors)
        config = json.loads((folder / hub.CONFIG).read_text())
        config["sha256"][hub.LATENTS] = hub.sha256(folder / hub.LATENTS)
        hub.write_json(folder / hub.CONFIG, config)
        try:
            registry = ModelRegistry([str(folder)], "cpu")
        except hub.HubError:
            return
        name = next(iter(registry.models))
        json.dumps(registry.describe(), allow_nan=False)
        for function in (atlas, draw.class_examples):
            json.dumps(answering(function, registry)({"model": name}), allow_nan=False)


def sound_checkpoint(folder: Path) -> dict[str, Any]:
    """What a training checkpoint of the folder's model holds."""
    vae = VAE.from_pretrained(folder)
    return {
        "state_dict": {f"vae.{name}": value for name, value in vae.state_dict().items()},
        "hfvae": {"model_class": type(vae).__name__, "arguments": vae.config, "data": None},
        "global_step": 5,
        "epoch": 1,
        "optimizer_states": [{"state": {}}],
        "lr_schedulers": [{"last_epoch": 5}],
        "loops": {"fit_loop": {}},
    }


@fuzz
@given(data=st.data())
def test_checkpoint(folder: Path, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Entries replaced by anything, weights by others, bytes changed or cut off: a model, or one of our errors."""
    path = tmp_path_factory.mktemp("checkpoint") / "x.ckpt"
    content = sound_checkpoint(folder)
    places = [content, content["hfvae"], content["hfvae"]["arguments"], content["state_dict"]]
    for place in data.draw(st.lists(st.sampled_from(range(4)), max_size=2)):
        key = data.draw(st.sampled_from([*places[place], "strange"]))
        odd = st.sampled_from([torch.zeros(()), torch.full((2, 3), float("nan")), torch.zeros(4, dtype=torch.int8)])
        places[place][key] = data.draw(json_values | odd)
    torch.save(content, path)
    whole = path.read_bytes()
    changed = data.draw(
        st.just(whole)
        | st.integers(0, len(whole)).map(lambda end: whole[:end])
        | st.tuples(st.integers(0, len(whole) - 1), st.binary(min_size=1, max_size=9)).map(
            lambda change: whole[: change[0]] + change[1] + whole[change[0] + len(change[1]) :]
        )
    )
    path.write_bytes(changed)
    load(path.parent, VAE.load_from_checkpoint, path.name)
    path.unlink()


FACTS = TINY["dense"]().facts()
hostile_text = st.lists(
    st.text(max_size=20)
    | st.sampled_from(
        ["---\n", "\n---\n", "<!-- hfvae:results -->", "<!-- /hfvae:results -->", "<!--", "-->", "![", "]("]
    )
    | st.sampled_from(
        ["license: mit\n", "model-index:\n- name: x\n", "tags: 5\n", "&a [*a]\n", "\x00", "\ud800", "](x) *"]
    ),
    max_size=12,
).map("".join)


@fuzz
@given(text=hostile_text, times=st.sampled_from([1, 1, 1, 30_000]))
def test_card_text(folder: Path, text: str, times: int) -> None:
    """Cards of a stranger are shown, and cards of one's own brought up to date, whatever stands in them."""
    path = folder / hub.CARD
    with restored(path), only_within(folder):
        path.write_bytes((text * times).encode("utf-8", "surrogatepass"))
        shown = read_card(hub.ModelSource(folder), "name")
        assert "<!-- hfvae:results -->" not in shown
        assert "<script" not in to_html(shown, 0)
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            hub.write_card(folder, FACTS)
            validate_card(path.read_text(encoding="utf-8"))
        except hub.HubError:
            assert path.read_bytes() == text.encode("utf-8", "surrogatepass"), "nothing is lost"
        except ValueError:
            pass  # it may be no card for a hub


numbers = st.floats() | st.integers(-(10**400), 10**400) | st.sampled_from([0, 1, 0.5])


@fuzz
@given(
    array=arrays.arrays(
        arrays.scalar_dtypes().filter(lambda dtype: dtype.kind in "biufc"),
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=40),
    ),
    light_ground=st.none() | st.booleans(),
)
def test_drawing(array: np.ndarray, light_ground: bool | None) -> None:
    """Any array that torch takes becomes a digit, nothing, or an error of ours."""
    try:
        drawing = torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))
    except TypeError:
        return  # torch has no such type
    try:
        digit = sketch.to_digit(drawing, light_ground)
    except (TypeError, ValueError):
        return
    assert digit is None or (digit.shape == (28, 28) and 0 <= digit.min() <= digit.max() == 1)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> ModelRegistry:
    shown = tmp_path_factory.mktemp("shown")
    return ModelRegistry([str(model_with_codes(shown / name)) for name in sorted(TINY)], "cpu")


point = st.lists(st.floats(-9, 9), min_size=2, max_size=3)
points = st.lists(st.lists(numbers, max_size=4), max_size=5) | st.lists(point)
ink = st.binary(max_size=40) | st.binary(min_size=PAD_SIDE * PAD_SIDE, max_size=PAD_SIDE * PAD_SIDE)
requests = json_values | st.fixed_dictionaries(
    {"model": st.sampled_from(sorted(TINY)) | json_values},
    optional={
        "z": points | json_values,
        "a": point | json_values,
        "b": point | json_values,
        "standard": st.booleans() | json_values,
        "label": numbers,
        "steps": numbers,
        "count": numbers,
        "seed": numbers,
        "temperature": numbers,
        "ink": ink.map(lambda data: base64.b64encode(data).decode()) | json_values,
    },
)
PAGE = [
    *(*SHARED, draw.reconstruct, draw.posterior, draw.exact_posterior, draw.class_examples, morph.animation),
    *(prior.draws, prior.class_draws, prior.base_path),
]


@fuzz
@given(request=requests)
@pytest.mark.parametrize("function", PAGE, ids=lambda function: function.__name__)
def test_what_a_page_may_call(registry: ModelRegistry, function: Callable[..., Any], request: Any) -> None:
    answer = answering(function, registry)(copy.deepcopy(request))
    text = json.dumps(answer, allow_nan=False)
    assert len(text) < 10 << 20
    if "error" in answer:
        assert len(answer["error"]) < 1000


def png(array: np.ndarray) -> str:
    return serialization.to_png(torch.from_numpy(array))


rows = arrays.arrays(np.float64, (28, 28), elements=st.floats(0, 1))
pictures = arrays.arrays(np.float64, arrays.array_shapes(min_dims=2, max_dims=2), elements=st.floats(0, 1)) | rows
damaged = st.tuples(pictures.map(png), st.integers(0, 200), st.text(max_size=3)).map(
    lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]
)
image = rows.map(np.ndarray.tolist) | pictures.map(png) | damaged | st.lists(st.lists(numbers, max_size=4), max_size=4)
images = image | st.lists(image, max_size=3)
formats = st.sampled_from(["rows", "png"])
ENDPOINTS = {
    "generate": {
        "num_samples": numbers,
        "temperature": numbers,
        "seed": numbers,
        "z": st.none() | points,
        "format": formats,
    },
    "encode": {"image": images, "drawing": st.booleans()},
    "reconstruct": {"image": images, "drawing": st.booleans(), "sample": st.booleans(), "format": formats},
    "interpolate": {
        "image_a": images,
        "image_b": images,
        "steps": numbers | st.integers(2, 9),
        "spherical": st.booleans(),
        "drawing": st.booleans(),
    },
}


@fuzz
@given(data=st.data())
@pytest.mark.parametrize("name", sorted(ENDPOINTS))
def test_endpoints(registry: ModelRegistry, name: str, data: st.DataObject) -> None:
    function = next(function for function in api.endpoints(registry) if function.__name__ == name)
    arguments = {key: data.draw(values | json_values, label=key) for key, values in ENDPOINTS[name].items()}
    model = data.draw(st.sampled_from(sorted(TINY)) | json_values, label="model")
    try:
        answer = function(model, **arguments)
    except gr.Error as error:
        answer = error.message
    assert 0 < len(json.dumps(answer, allow_nan=False)) < 10 << 20


RECIPE = "configs/mnist_conv.yaml"
SETTINGS = {
    "model": "vae learning_rate optimizer warmup kl_warmup_epochs importance_epochs importance_samples strange",
    "data": "dataset binarize binarize_threshold mean std batch_size dequantize rotation shear stretch shift"
    " edge_contrast validation_images num_workers",
    "trainer": "max_epochs precision devices accelerator gradient_clip_val callbacks limit_val_batches",
    "init_args": "channels hidden_features latent_dim likelihood_type beta blocks activation sigma prior_type"
    " prior_options posterior_type",
}


@pytest.mark.filterwarnings("ignore")
@settings(fuzz, max_examples=CASES // 3 or 12)
@given(data=st.data())
def test_recipe(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A recipe with some settings replaced by anything begins to train or ends in a sentence."""
    import yaml
    from lightning import Trainer

    from hfvae.cli import fit

    root = tmp_path_factory.mktemp("recipe")
    recipe = yaml.safe_load((REPOSITORY / RECIPE).read_text())
    sections = {**recipe, "init_args": recipe["model"]["vae"]["init_args"]}
    for section in data.draw(st.lists(st.sampled_from(sorted(SETTINGS)), min_size=1, max_size=2)):
        key = data.draw(st.sampled_from(SETTINGS[section].split()))
        sections[section][key] = data.draw(json_values | st.integers(-2, 2**40) | st.floats(-1, 2))
    (root / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8", errors="surrogatepass")
    arguments = ["fit.py", f"--config={root / 'recipe.yaml'}", f"--trainer.default_root_dir={root}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", arguments)
        patch.setattr(Trainer, "fit", lambda *positional, **named: None)
        patch.setattr(fit.MNISTDataModule, "prepare_data", lambda self: None)
        ended: object = None
        try:
            fit.main()
        except SystemExit as end:
            ended = end.code
    assert ended != 0
