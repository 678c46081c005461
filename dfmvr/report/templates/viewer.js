// Meshes that can be turned, after webpage/scene.js: each `figure.scene` holds its data (see
// dfmvr/report/figures/scenes.py), a picture and its controls.
(() => {
  const { aim, attribute, bounds, bytes, changing, compile, context, given, normalsOf, pointsOf, steer } = turnable;
  const VERTEX = `#version 300 es
    in vec3 position, normal, value;
    uniform mat3 turn;
    uniform vec3 centre;
    uniform vec4 lens;  // focal length / aspect, focal length, distance, reach; the last two in mm
    out vec3 seenNormal, seenValue;
    void main() {
      vec3 p = turn * (position - centre);
      float depth = lens.z - p.z;
      seenNormal = turn * normal;
      seenValue = value;
      gl_Position = vec4(lens.xy * p.xy, depth * (depth - lens.z) / lens.w, depth);
    }`;
  const FRAGMENT = `#version 300 es
    precision highp float;
    in vec3 seenNormal, seenValue;
    uniform vec3 stops[STOPS];
    uniform float scale, coloured;
    out vec4 colour;
    void main() {
      vec3 n = normalize(seenNormal) * (gl_FrontFacing ? 1.0 : -1.0);
      vec3 base = vec3(0.80);
      float line = 0.0;
      if (coloured > 0.5) {
        float place = clamp(seenValue.x, 0.0, 1.0) * float(STOPS - 1);
        int low = min(int(place), STOPS - 2);
        float mm = seenValue.y * scale, width = max(fwidth(mm), 1e-5);
        bool measured = seenValue.z > 0.999;
        base = measured ? mix(stops[low], stops[low + 1], place - float(low)) : vec3(0.72, 0.72, 0.74);
        float off = abs(fract(mm + 0.5) - 0.5) / width;
        if (measured && mm > 0.5 && mm < scale - 0.01) line = 1.0 - smoothstep(0.5, 1.3, off);
      }
      float light = coloured > 0.5 ? 0.52 : 0.24, strength = coloured > 0.5 ? 0.6 : 1.0;
      light += strength * (0.72 * max(dot(n, vec3(0.35, 0.45, 0.82)), 0.0) + 0.22 * max(dot(n, vec3(-0.7, 0.1, 0.7)), 0.0));
      colour = vec4(base * light * (gl_FrontFacing ? 1.0 : 0.6) * mix(1.0, 0.3, line), 1.0);
    }`;

  function read(layer, scene) {
    const points = pointsOf(layer.positions, scene);
    const triangles = new Uint16Array(bytes(layer.triangles).buffer);
    return { name: layer.name, points, triangles, normals: normalsOf(points, triangles), values: bytes(layer.values) };
  }

  function upload(gl, mesh) {
    const vertexArray = gl.createVertexArray();
    gl.bindVertexArray(vertexArray);
    const columns = [[mesh.points, gl.FLOAT], [mesh.normals, gl.FLOAT], [mesh.values, gl.UNSIGNED_BYTE]];
    columns.forEach(([data, kind], i) => attribute(gl, i, data, kind));
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, mesh.triangles, gl.STATIC_DRAW);
    return { vertexArray, count: mesh.triangles.length };
  }

  function setUp(figure) {
    const scene = JSON.parse(figure.querySelector("script").textContent);
    const canvas = figure.querySelector("canvas");
    const gl = context(canvas);
    if (!gl) return false;
    const program = compile(gl, VERTEX, FRAGMENT.replaceAll("STOPS", String(scene.stops.length)), ["position", "normal", "value"]);
    const place = (name) => gl.getUniformLocation(program, name);
    const meshes = scene.layers.map((layer) => read(layer, scene));
    const { centre, radius } = bounds(meshes[0].points);
    const drawn = meshes.map((mesh) => upload(gl, mesh));
    const state = { yaw: 0, pitch: 0, zoom: 1, layer: 0, coloured: true };
    Object.assign(state, given(state));
    state.coloured = Boolean(state.coloured);
    if (!(state.layer in meshes)) state.layer = 0;
    gl.enable(gl.DEPTH_TEST);
    gl.clearColor(1, 1, 1, 1);
    gl.uniform3fv(place("stops"), scene.stops.flat());
    gl.uniform1f(place("scale"), scene.scale_mm);
    gl.uniform3fv(place("centre"), centre);

    function draw() {
      if (!aim(gl, place, state, { distance: 6 * radius, focal: 5.6, reach: 3 * radius })) return;
      gl.uniform1f(place("coloured"), state.coloured ? 1 : 0);
      gl.bindVertexArray(drawn[state.layer].vertexArray);
      gl.drawElements(gl.TRIANGLES, drawn[state.layer].count, gl.UNSIGNED_SHORT, 0);
      figure.querySelectorAll("[data-layer]").forEach((button) => button.setAttribute("aria-pressed", Number(button.dataset.layer) === state.layer));
      figure.querySelector("[data-colours]").setAttribute("aria-pressed", state.coloured);
    }
    const change = changing(state, [0.5, 8], draw);

    const button = (text, attribute, value, action) => {
      const made = document.createElement("button");
      made.type = "button";
      made.textContent = text;
      if (attribute) made.setAttribute(attribute, value);
      made.addEventListener("click", action);
      return made;
    };
    const controls = figure.querySelector(".controls");
    meshes.forEach((mesh, i) => controls.append(button(mesh.name, "data-layer", i, () => change({ layer: i }))));
    controls.append(
      button("error colours", "data-colours", "", () => change({ coloured: !state.coloured })),
      button("front", "", "", () => change({ yaw: 0, pitch: 0, zoom: 1 })),
      button("side", "", "", () => change({ yaw: -60, pitch: 0 })),
    );

    // The page scrolls until the meshes are chosen.
    steer(canvas, state, change, () => document.activeElement === canvas);
    canvas.addEventListener("webglcontextlost", () => figure.classList.remove("live"));
    figure.classList.add("live");
    new ResizeObserver(() => change({})).observe(canvas);
    draw();
    return true;
  }

  for (const figure of document.querySelectorAll("figure.scene")) {
    let shown = false;
    try { shown = setUp(figure); } catch (error) { console.error(error); }
    if (!shown) figure.querySelector(".without").hidden = false;
  }
})();
