"""Small slides and what a model might have said of them, for the viewer."""

import contextlib
import http.client
import json
import socket
import threading

import keras
import numpy as np
import pytest
import uvicorn

if keras.backend.backend() != "tensorflow":
    collect_ignore_glob = ["test_*.py"]

HEIGHT, WIDTH, MPP = 1600, 2400, 0.5


@pytest.fixture(scope="session")
def image():
    """A stained slide."""
    from skimage import data

    stained = data.immunohistochemistry()
    image = np.full((HEIGHT, WIDTH, 3), 245, np.uint8)
    image[300:1324, 400:1936] = np.concatenate([np.tile(stained, (2, 3, 1))])
    return image


@pytest.fixture(scope="session")
def slides(image, tmp_path_factory):
    """A pyramid of three levels, and the same with one level, whose name is an attack."""
    from ats_mag.slides.writing.pyramid import write_pyramid

    folder = tmp_path_factory.mktemp("viewed")
    pyramid, flat = folder / "pyramid.tif", folder / "<img src=x onerror=alert(1)>.tif"
    write_pyramid(pyramid, image, MPP, (1, 4, 16))
    write_pyramid(flat, image, MPP, (1,))
    return [pyramid, flat]


@pytest.fixture
def inspected():
    """`inspected(slide)` -> an `InspectedSlide` with attention on two cells at each of two magnifications."""
    from ats_mag.geometry.lattice import Lattice
    from ats_mag.pictures.inspected_slide import InspectedSlide

    def made(slide):
        lattice = Lattice(8.0, 4, (0.5, 2.0), 32)
        attention = np.zeros((25, 38, 2), np.float32)
        attention[10, 12], attention[11, 20] = (0.3, 0.1), (0.2, 0.4)
        index = np.array([[10, 12, 0], [11, 20, 1]])
        geometry = np.array([0, 0, WIDTH, HEIGHT, round(MPP * 1e7)])
        location, downsample = (np.asarray(a)[0] for a in lattice.place(index[None], geometry[None]))
        return InspectedSlide(
            slide=slide.path,
            classes=["a", "<b>"],
            lattice=lattice,
            geometry=geometry,
            overview=np.zeros((100, 152, 3), np.uint8),
            mask=np.ones((100, 152), bool),
            probabilities=np.array([0.25, 0.75]),
            attention=attention,
            index=index,
            location=location,
            downsample=downsample,
            weight=np.array([0.4, 0.6]),
            patches=np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3), np.uint8),
            contribution=np.array([[0.5, -0.5], [-0.2, 1.2]]),
        )

    return made


class Answer:
    """What a server said."""

    def __init__(self, response):
        self.status, self.headers, self.content = response.status, response.headers, response.read()

    @property
    def text(self):
        return self.content.decode()

    def json(self):
        return json.loads(self.content)


@pytest.fixture
def serve():
    """`serve(app)` -> `get(path, headers, method)`, over a connection of its own; the path goes as it is, not tidied up."""
    from ats_mag.viewer.connections import server_settings

    running = []

    def started(app):
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(server_settings(app))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        running.append((server, thread, listening))
        port = listening.getsockname()[1]

        def get(path, headers=(), method="GET", host=f"127.0.0.1:{port}"):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in [*([("Host", host)] if host is not None else []), *headers]:
                connection.putheader(name, value)
            connection.endheaders()
            with contextlib.closing(connection):
                return Answer(connection.getresponse())

        get.port = port
        return get

    yield started
    for server, thread, listening in running:
        server.should_exit = True
        thread.join()
        listening.close()
