"""A GLB file in three.js in a headless browser: what its parts are there, and pictures of it."""

import base64
from contextlib import contextmanager
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from npm_modules import npm_module
from page_reader import WEBGL, installed_browser

HOST = "http://three.test"
PAGE = """<!DOCTYPE html><html><head><meta charset="utf-8">
<script type="importmap">{"imports": {"three": "/build/three.module.js", "three/addons/": "/examples/jsm/"}}</script>
<script type="module">
import * as THREE from "three";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";

const size = new URLSearchParams(location.search);
const renderer = new THREE.WebGLRenderer({ antialias: true, preserveDrawingBuffer: true });
renderer.setSize(Number(size.get("width")), Number(size.get("height")));
document.body.append(renderer.domElement);
const scene = new THREE.Scene(), meshes = [];
scene.background = new THREE.Color(0xeef0f3);
scene.add(new THREE.HemisphereLight(0xffffff, 0xbfb6ae, 2.2));
for (const [power, ...place] of [[1.4, -1, 1.2, 2], [0.6, 1.6, 0.4, 1.2]]) {
  const light = new THREE.DirectionalLight(0xffffff, power);
  light.position.set(...place);
  scene.add(light);
}
const { scene: avatar } = await new GLTFLoader().loadAsync("/avatar.glb");
avatar.traverse((node) => { if (node.isMesh) meshes.push(node); });
scene.add(avatar);
const box = new THREE.Box3().setFromObject(avatar, true), middle = box.getCenter(new THREE.Vector3());
const camera = new THREE.PerspectiveCamera(20, size.get("width") / size.get("height"), 0.05, 10);

window.parts = meshes.map((mesh) => ({
  name: mesh.name,
  place: mesh.getWorldPosition(new THREE.Vector3()).toArray(),
  names: Object.entries(mesh.morphTargetDictionary ?? {}).sort((a, b) => a[1] - b[1]).map(([name]) => name),
  weights: [...(mesh.morphTargetInfluences ?? [])],
  targets: (mesh.geometry.morphAttributes.position ?? []).map((target) => Array.from(target.array)),
  turned: (mesh.geometry.morphAttributes.normal ?? []).map((target) => Array.from(target.array)),
  rough: mesh.material.roughness,
  metal: mesh.material.metalness,
  pixels: mesh.material.map ? [mesh.material.map.image.width, mesh.material.map.image.height] : null,
}));
// A picture with these strengths alone (null: as the file has them), turned by `yaw` degrees, `distance` m away.
window.picture = (strengths, { yaw = 0, pitch = 0, distance = 1, up = 0, turns = {} } = {}) => {
  meshes.forEach((mesh, number) => {
    const { names, weights } = window.parts[number];
    names.forEach((name, i) => { mesh.morphTargetInfluences[i] = strengths ? strengths[name] ?? 0 : weights[i]; });
    mesh.rotation.set(...(turns[mesh.name] ?? [0, 0, 0]));
  });
  const [y, x] = [yaw, pitch].map((angle) => (angle * Math.PI) / 180);
  const target = new THREE.Vector3(0, middle.y + up, middle.z);
  camera.position.set(Math.sin(y) * Math.cos(x), Math.sin(x), Math.cos(y) * Math.cos(x));
  camera.position.multiplyScalar(distance).add(target);
  camera.lookAt(target);
  renderer.render(scene, camera);
  return renderer.domElement.toDataURL("image/png");
};
window.ready = true;
</script></head><body style="margin: 0"></body></html>"""


class InThree:
    """A page of three.js with a GLB file."""

    def __init__(self, page):
        self._page = page

    def parts(self):
        """What three.js has made of the meshes."""
        return self._page.evaluate("() => window.parts")

    def picture(self, strengths, **view):
        """(H, W, 3) uint8 RGB, with targets at these strengths alone; None: as the file has them."""
        address = self._page.evaluate("([strengths, view]) => window.picture(strengths, view)", [strengths, view])
        data = np.frombuffer(base64.b64decode(address.partition(",")[2]), np.uint8)
        return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]


@contextmanager
def in_browser(*flags, size=(600, 600)):
    """A page in a headless Chromium of this machine, by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    browser = installed_browser()
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=browser, args=["--no-sandbox", *flags], timeout=120_000)
        page = running.new_page(viewport=dict(zip(("width", "height"), size, strict=True)))
        page.set_default_timeout(120_000)
        yield page
        running.close()


@contextmanager
def in_three(file, size=(240, 320)):
    """An `InThree` of a GLB file, in a window of so many pixels; whatever else the page asks for is refused."""
    modules = npm_module("three")

    def answer(route):
        path = urlsplit(route.request.url).path
        if not route.request.url.startswith(HOST):
            route.abort()
        elif path == "/":
            route.fulfill(body=PAGE, content_type="text/html")
        elif path == "/avatar.glb":
            route.fulfill(path=file, content_type="model/gltf-binary")
        elif (modules / path[1:]).is_file():
            route.fulfill(path=modules / path[1:], content_type="text/javascript")
        else:
            route.fulfill(status=404)

    with in_browser(*WEBGL, size=size) as page:
        failures = []
        page.on("pageerror", lambda error: failures.append(error))
        page.route("**/*", answer)
        page.goto(f"{HOST}/?width={size[0]}&height={size[1]}")
        page.wait_for_function("() => window.ready")
        assert failures == []
        yield InThree(page)
