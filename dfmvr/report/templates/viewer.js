// Meshes that can be turned: each `figure.scene` holds its data (see dfmvr/report/viewer.py), a picture and its controls.
(() => {
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

  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  function normalsOf(points, triangles) {
    const normals = new Float32Array(points.length);
    for (let t = 0; t < triangles.length; t += 3) {
      const [a, b, c] = [3 * triangles[t], 3 * triangles[t + 1], 3 * triangles[t + 2]];
      const u = [0, 1, 2].map((i) => points[b + i] - points[a + i]);
      const v = [0, 1, 2].map((i) => points[c + i] - points[a + i]);
      const n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
      for (const corner of [a, b, c]) for (let i = 0; i < 3; i++) normals[corner + i] += n[i];
    }
    return normals;
  }

  function read(layer, scene) {
    const stored = new Uint16Array(bytes(layer.positions).buffer);
    const points = Float32Array.from(stored, (value, i) => scene.low[i % 3] + scene.step * value);
    const triangles = new Uint16Array(bytes(layer.triangles).buffer);
    return { name: layer.name, points, triangles, normals: normalsOf(points, triangles), values: bytes(layer.values) };
  }

  function compile(gl, stops) {
    const program = gl.createProgram();
    const sources = [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT.replaceAll("STOPS", String(stops))]];
    for (const [kind, source] of sources) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    ["position", "normal", "value"].forEach((name, i) => gl.bindAttribLocation(program, i, name));
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    return program;
  }

  function upload(gl, mesh) {
    const vertexArray = gl.createVertexArray();
    gl.bindVertexArray(vertexArray);
    const columns = [[mesh.points, gl.FLOAT], [mesh.normals, gl.FLOAT], [mesh.values, gl.UNSIGNED_BYTE]];
    columns.forEach(([data, kind], i) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(i);
      gl.vertexAttribPointer(i, 3, kind, kind === gl.UNSIGNED_BYTE, 0, 0);
    });
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, mesh.triangles, gl.STATIC_DRAW);
    return { vertexArray, count: mesh.triangles.length };
  }

  function bounds(points) {
    const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
    points.forEach((value, i) => {
      low[i % 3] = Math.min(low[i % 3], value);
      high[i % 3] = Math.max(high[i % 3], value);
    });
    const centre = low.map((value, i) => (value + high[i]) / 2);
    return { centre, radius: Math.max(...low.map((value, i) => (high[i] - value) / 2)) };
  }

  function setUp(figure) {
    const scene = JSON.parse(figure.querySelector("script").textContent);
    const canvas = figure.querySelector("canvas");
    // The drawing is kept, so that it can be saved as a picture.
    const gl = canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true });
    if (!gl) return false;
    const program = compile(gl, scene.stops.length);
    const place = (name) => gl.getUniformLocation(program, name);
    const meshes = scene.layers.map((layer) => read(layer, scene));
    const { centre, radius } = bounds(meshes[0].points);
    const drawn = meshes.map((mesh) => upload(gl, mesh));
    const start = { yaw: 0, pitch: 0, zoom: 1, layer: 0, coloured: true };
    const state = { ...start };
    const given = new URLSearchParams(location.search);
    for (const key of ["yaw", "pitch", "zoom", "layer"]) if (Number.isFinite(parseFloat(given.get(key)))) state[key] = parseFloat(given.get(key));
    if (!(state.layer in meshes)) state.layer = 0;
    gl.useProgram(program);
    gl.enable(gl.DEPTH_TEST);
    gl.clearColor(1, 1, 1, 1);
    gl.uniform3fv(place("stops"), scene.stops.flat());
    gl.uniform1f(place("scale"), scene.scale_mm);
    gl.uniform3fv(place("centre"), centre);

    let waiting = false;
    function draw() {
      waiting = false;
      const width = Math.round(canvas.clientWidth * devicePixelRatio), height = Math.round(canvas.clientHeight * devicePixelRatio);
      if (!width || !height) return;
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
      gl.viewport(0, 0, width, height);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      const [y, x] = [state.yaw, state.pitch].map((angle) => (angle * Math.PI) / 180);
      const [cy, sy, cx, sx] = [Math.cos(y), Math.sin(y), Math.cos(x), Math.sin(x)];
      gl.uniformMatrix3fv(place("turn"), false, [cy, sx * sy, -cx * sy, 0, cx, sx, sy, -sx * cy, cx * cy]);
      const distance = 6 * radius, reach = 3 * radius, focal = (5.6 * state.zoom * Math.min(width, height)) / height;
      gl.uniform4f(place("lens"), (focal * height) / width, focal, distance, reach);
      gl.uniform1f(place("coloured"), state.coloured ? 1 : 0);
      gl.bindVertexArray(drawn[state.layer].vertexArray);
      gl.drawElements(gl.TRIANGLES, drawn[state.layer].count, gl.UNSIGNED_SHORT, 0);
      figure.querySelectorAll("[data-layer]").forEach((button) => button.setAttribute("aria-pressed", Number(button.dataset.layer) === state.layer));
      figure.querySelector("[data-colours]").setAttribute("aria-pressed", state.coloured);
    }
    function change(values) {
      Object.assign(state, values);
      state.pitch = Math.max(-90, Math.min(90, state.pitch));
      state.zoom = Math.max(0.5, Math.min(8, state.zoom));
      if (!waiting) requestAnimationFrame(draw);
      waiting = true;
    }

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

    const fingers = new Map();
    const spread = () => Math.hypot(...[0, 1].map((i) => [...fingers.values()].map((at) => at[i]).reduce((a, b) => a - b)));
    canvas.addEventListener("pointerdown", (event) => {
      fingers.set(event.pointerId, [event.clientX, event.clientY]);
      canvas.focus({ preventScroll: true });
      try { canvas.setPointerCapture(event.pointerId); } catch { /* a pointer that has gone */ }
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      const apart = fingers.size === 2 ? spread() : 0;
      fingers.set(event.pointerId, [event.clientX, event.clientY]);
      if (apart) change({ zoom: state.zoom * (spread() / apart) });
      else if (fingers.size === 1) change({ yaw: state.yaw + 0.4 * (event.clientX - before[0]), pitch: state.pitch + 0.4 * (event.clientY - before[1]) });
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => fingers.delete(event.pointerId));
    canvas.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas) return;  // the page scrolls until the meshes are chosen
      event.preventDefault();
      change({ zoom: state.zoom * Math.exp(-0.0015 * event.deltaY) });
    }, { passive: false });
    const keys = {
      ArrowLeft: () => ({ yaw: state.yaw - 5 }), ArrowRight: () => ({ yaw: state.yaw + 5 }),
      ArrowUp: () => ({ pitch: state.pitch - 5 }), ArrowDown: () => ({ pitch: state.pitch + 5 }),
      "+": () => ({ zoom: state.zoom * 1.15 }), "-": () => ({ zoom: state.zoom / 1.15 }), Home: () => ({ yaw: 0, pitch: 0, zoom: 1 }),
    };
    canvas.addEventListener("keydown", (event) => {
      if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      change(keys[event.key]());
    });
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
