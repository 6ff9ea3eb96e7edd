"""The app for programs: the named endpoints through gradio_client, and what raw requests can do to the server."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import math
import socket
import urllib.parse
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image
from support import App

from hfvae import VAE, generate, hub, interpolate, load, reconstruct

DENSE, CONV = "mnist-dense-2d", "mnist-conv-32d"
DIGIT = generate(load(CONV, device="cpu"), z=hub.ModelSource(CONV).latents().mean[:1])[0, 0]
ROWS = [[round(value, 4) for value in row] for row in DIGIT.tolist()]
X = torch.tensor(ROWS).view(1, 1, 28, 28)


@pytest.fixture(scope="module")
def client(app: App) -> Client:
    return Client(app.url, verbose=False)


def close(rows: Any, expected: torch.Tensor) -> None:
    torch.testing.assert_close(torch.tensor(rows), expected, atol=1e-4, rtol=0)


def test_only_the_named_endpoints_are_to_be_seen(client: Client) -> None:
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert sorted(endpoints) == ["/encode", "/generate", "/interpolate", "/models", "/reconstruct"]
    generate_ = {p["parameter_name"]: p for p in endpoints["/generate"]["parameters"]}
    assert list(generate_) == ["model", "num_samples", "temperature", "seed", "z", "format"]
    assert generate_["temperature"]["parameter_default"] == 1.0
    assert generate_["model"]["type"]["type"] == "string"
    for name, endpoint in endpoints.items():
        assert endpoint["returns"][0]["type"], f"{name} says what it answers"
    codes = endpoints["/encode"]["returns"][0]["type"]["properties"]
    assert set(codes) == {"mean", "std"}


def test_models(client: Client) -> None:
    models = client.predict(api_name="/models")
    said = [(m["name"], m["latent_dim"], sum(m["active"])) for m in models]
    assert said == [(CONV, 32, 32), ("mnist-conv-40d-binary", 40, 40), (DENSE, 2, 2)]


@pytest.mark.parametrize("model", [DENSE, CONV])
def test_each_endpoint_does_what_its_function_does(client: Client, vaes: dict[str, VAE], model: str) -> None:
    vae = vaes[model]
    z = [[0.5] * vae.latent_dim, [-1.0] * vae.latent_dim]
    close(client.predict(model, z=z, api_name="/generate"), generate(vae, z=torch.tensor(z))[:, 0])
    close(client.predict(model, ROWS, api_name="/reconstruct"), reconstruct(vae, X)[0, 0])
    posterior = client.predict(model, ROWS, api_name="/encode")
    with torch.no_grad():
        q = vae.encode(X)
    close(posterior["mean"], q.mean)
    close(posterior["std"], q.stddev)
    path = client.predict(model, ROWS, ROWS[::-1], steps=3, spherical=True, api_name="/interpolate")
    close(path, interpolate(vae, X, X.flip(2), 3, spherical=True)[:, 0])


def decoded(data_url: str) -> torch.Tensor:
    header, data = data_url.split(",")
    assert header == "data:image/png;base64"
    return torch.from_numpy(np.array(Image.open(io.BytesIO(base64.b64decode(data))))).float() / 255


def png(pixels: torch.Tensor, mode: str = "L") -> str:
    buffer = io.BytesIO()
    Image.fromarray((pixels * 255).round().to(torch.uint8).numpy()).convert(mode).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_pictures(client: Client, vaes: dict[str, VAE], mode: str) -> None:
    rounded = (DIGIT.view(1, 1, 28, 28) * 255).round() / 255
    answer = client.predict(CONV, png(DIGIT, mode), format="png", api_name="/reconstruct")
    torch.testing.assert_close(decoded(answer), reconstruct(vaes[CONV], rounded)[0, 0], atol=3e-3, rtol=0)
    rows = client.predict(CONV, png(DIGIT, mode), api_name="/reconstruct")
    close(rows, reconstruct(vaes[CONV], rounded)[0, 0])
    path = client.predict(CONV, png(DIGIT), ROWS, steps=2, format="png", api_name="/interpolate")
    assert [decoded(image).shape for image in path] == [(28, 28)] * 2
    pictures = client.predict(CONV, num_samples=3, seed=5, format="png", api_name="/generate")
    rows = client.predict(CONV, num_samples=3, seed=5, api_name="/generate")
    torch.testing.assert_close(torch.stack([decoded(p) for p in pictures]), torch.tensor(rows), atol=3e-3, rtol=0)


@pytest.mark.parametrize("ink", ["white", "black"])
@pytest.mark.parametrize("drawing", [False, True])
def test_pictures_with_a_transparent_ground(client: Client, vaes: dict[str, VAE], ink: str, drawing: bool) -> None:
    alpha = DIGIT.repeat_interleave(5, 0).repeat_interleave(5, 1) if drawing else DIGIT
    picture = Image.new("RGB", tuple(alpha.shape[::-1]), ink)
    picture.putalpha(Image.fromarray((alpha * 255).round().byte().numpy()))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    data_url = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    codes = client.predict(DENSE, data_url, drawing=drawing, api_name="/encode")
    expected = vaes[DENSE].encode(DIGIT.view(1, 1, 28, 28)).mean
    torch.testing.assert_close(torch.tensor(codes["mean"]), expected, atol=0.5 if drawing else 0.02, rtol=0)


def test_batches(client: Client, vaes: dict[str, VAE]) -> None:
    batch = [ROWS, png(DIGIT), ROWS[::-1]]
    many = client.predict(CONV, batch, api_name="/reconstruct")
    alone = [client.predict(CONV, image, api_name="/reconstruct") for image in batch]
    apart = (10_000 * (torch.tensor(many).double() - torch.tensor(alone).double())).abs().max()
    assert round(float(apart), 2) <= 1, "units of the fourth digit, to which both are rounded"
    codes = client.predict(CONV, batch, api_name="/encode")
    assert [len(codes["mean"]), len(codes["std"]), len(codes["mean"][0])] == [3, 3, 32]
    assert len(client.predict(DENSE, [png(DIGIT)] * 100, api_name="/encode")["mean"]) == 100
    with pytest.raises(AppError, match="at most 100 images, got 101"):
        client.predict(DENSE, [png(DIGIT)] * 101, api_name="/encode")
    with pytest.raises(AppError, match="image 1 of image must be"):
        client.predict(DENSE, [ROWS, "x"], api_name="/encode")


def test_seeds_and_temperature(client: Client) -> None:
    def call(**options: Any) -> Any:
        return client.predict(DENSE, api_name="/generate", **options)

    assert call(seed=1, num_samples=3) == call(seed=1, num_samples=3) != call(seed=2, num_samples=3)
    cold = call(temperature=0, num_samples=2)
    assert cold[0] == cold[1]


def test_drawings_are_framed_first(client: Client, vaes: dict[str, VAE]) -> None:
    large = DIGIT.repeat_interleave(5, 0).repeat_interleave(5, 1)
    drawing = (255 - 255 * large).round().tolist()  # dark ink on light ground
    answer = client.predict(CONV, drawing, drawing=True, api_name="/reconstruct")
    assert (torch.tensor(answer) - reconstruct(vaes[CONV], X)[0, 0]).abs().mean() < 0.03


@pytest.mark.parametrize(
    ("endpoint", "arguments"),
    [
        ("/generate", {"model": "nothing"}),
        ("/generate", {"model": 5}),
        ("/generate", {"model": DENSE, "z": [[0.0]]}),
        ("/generate", {"model": DENSE, "z": [[0.0, 1e30]]}),
        ("/generate", {"model": DENSE, "z": "abc"}),
        ("/generate", {"model": DENSE, "num_samples": 0}),
        ("/generate", {"model": DENSE, "num_samples": 10**9}),
        ("/generate", {"model": DENSE, "num_samples": "many"}),
        ("/generate", {"model": DENSE, "temperature": -1}),
        ("/generate", {"model": DENSE, "seed": -1}),
        ("/generate", {"model": DENSE, "seed": 2**70}),
        ("/encode", {"model": DENSE, "image": []}),
        ("/encode", {"model": DENSE, "image": [[]]}),
        ("/encode", {"model": DENSE, "image": [[0.0] * 27] * 28}),
        ("/encode", {"model": DENSE, "image": [[2.0] * 28] * 28}),
        ("/encode", {"model": DENSE, "image": [[0.0] * 28] * 27 + [[0.0]]}),
        ("/encode", {"model": DENSE, "image": [["ink"] * 28] * 28}),
        ("/encode", {"model": DENSE, "image": [[0.0] * 300] * 300, "drawing": True}),
        ("/encode", {"model": DENSE, "image": {"a": 1}}),
        ("/encode", {"model": DENSE, "image": "digit.png"}),
        ("/encode", {"model": DENSE, "image": "data:image/png;base64,AAAA"}),
        ("/encode", {"model": DENSE, "image": "data:image/png;base64,\u00e9"}),
        ("/encode", {"model": DENSE, "image": png(torch.zeros(20, 20))}),
        ("/encode", {"model": DENSE, "image": png(torch.zeros(300, 300)), "drawing": True}),
        ("/generate", {"model": DENSE, "format": "gif"}),
        ("/reconstruct", {"model": DENSE, "image": ROWS, "sample": "yes"}),
        ("/reconstruct", {"model": DENSE, "image": ROWS, "drawing": 1}),
        ("/interpolate", {"model": DENSE, "image_a": ROWS, "image_b": ROWS, "steps": 1}),
        ("/interpolate", {"model": DENSE, "image_a": ROWS, "image_b": [[0.0]]}),
    ],
)
def test_bad_calls_get_a_sentence(client: Client, endpoint: str, arguments: dict[str, Any]) -> None:
    with pytest.raises((AppError, ValueError), match=r"must be|must hold") as caught:
        client.predict(api_name=endpoint, **arguments)
    assert "Traceback" not in str(caught.value)


def test_a_blank_drawing_is_said(client: Client) -> None:
    with pytest.raises(AppError, match="blank"):
        client.predict(DENSE, [[0.0] * 50] * 50, drawing=True, api_name="/encode")


# Raw requests


def test_arguments_that_are_left_out(app: App) -> None:
    def call(name: str, data: list[Any]) -> str:
        with connect(app) as connection:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", f"/gradio_api/call/{name}", json.dumps({"data": data}), headers)
            event = json.loads(connection.getresponse().read())["event_id"]
            connection.request("GET", f"/gradio_api/call/{name}/{event}")
            return connection.getresponse().read().decode()

    assert "event: complete" in call("generate", [DENSE])
    assert "generate needs an argument model" in call("generate", [])
    assert "reconstruct needs an argument image" in call("reconstruct", [DENSE])


@contextlib.contextmanager
def connect(app: App) -> Iterator[http.client.HTTPConnection]:
    with contextlib.closing(
        http.client.HTTPConnection(urllib.parse.urlsplit(app.url).netloc, timeout=30)
    ) as connection:
        yield connection


def server_call(app: App, component: int, function: str, data: Any) -> tuple[int, Any]:
    body = json.dumps({"data": data, "component_id": component, "fn_name": function, "session_hash": "s"})
    with connect(app) as connection:
        connection.request("POST", "/gradio_api/component_server", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def widget_id(app: App, name: str) -> int:
    with connect(app) as connection:
        connection.request("GET", "/config")
        components = json.loads(connection.getresponse().read())["components"]
    return next(c["id"] for c in components if c["props"].get("elem_id") == f"{name}-widget")


def test_the_pages_own_calls_refuse_as_well(app: App) -> None:
    draw = widget_id(app, "draw")
    assert server_call(app, draw, "decode", {"model": DENSE, "z": [[0, 0]]})[1].keys() == {"images"}
    for data in (
        None,
        5,
        [],
        {"model": DENSE},
        {"model": DENSE, "z": [[math.nan, 0]]},
        {"model": DENSE, "z": [[1e400, 0]]},
    ):
        status, answer = server_call(app, draw, "decode", data)
        assert status == 200
        assert "must" in answer["error"]
    assert server_call(app, draw, "__init__", {})[0] == 404
    assert server_call(app, draw, "animation", {})[0] == 404, "that is another widget's"


def test_huge_bodies_are_refused_before_they_are_read(app: App) -> None:
    for path in ("/gradio_api/component_server", "/gradio_api/call/generate"):
        with socket.create_connection(urllib.parse.urlsplit(app.url).netloc.split(":"), timeout=30) as raw:
            raw.sendall(
                f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                f"Content-Length: {10**8}\r\n\r\n".encode()
            )
            assert b" 413 " in raw.recv(1000).split(b"\r\n")[0]


def test_a_huge_body_of_undeclared_length_is_refused(app: App) -> None:
    chunks = (b"x" * 100_000 for _ in range(30))
    hung_up = (BrokenPipeError, ConnectionResetError)  # on us who were still sending
    with connect(app) as connection, contextlib.suppress(*hung_up):
        headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
        connection.request("POST", "/gradio_api/component_server", chunks, headers, encode_chunked=True)
        assert connection.getresponse().status == 413
    with connect(app) as connection:
        connection.request("GET", "/config")
        assert connection.getresponse().status == 200, "the server lives"
