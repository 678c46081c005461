// A face that can be turned. The page's JSON holds it (see dfmvr/reconstruct/viewer.py).
(() => {
  const VERTEX = `#version 300 es
    in vec3 still, moved, stillNormal, movedNormal, paint;
    uniform mat3 turn;
    uniform vec3 centre;
    uniform vec4 lens;  // focal length / aspect, focal length, distance, reach; the last two in mm
    uniform float expression, nearer;
    out vec3 seenNormal, seenPaint;
    void main() {
      vec3 p = turn * (mix(still, moved, expression) - centre);
      float depth = lens.z - p.z;
      seenNormal = turn * mix(stillNormal, movedNormal, expression);
      seenPaint = paint;
      gl_Position = vec4(lens.xy * p.xy, (depth - nearer) * (depth - lens.z) / lens.w, depth);
    }`;
  const FRAGMENT = `#version 300 es
    precision highp float;
    in vec3 seenNormal, seenPaint;
    uniform sampler2D image;
    uniform int look;  // 0 image, 1 colours of vertices, 2 shape, 3 lines
    out vec4 colour;
    void main() {
      if (look == 3) { colour = vec4(0.12, 0.22, 0.38, 1.0); return; }
      vec3 n = normalize(seenNormal) * (gl_FrontFacing ? 1.0 : -1.0);
      float inside = gl_FrontFacing ? 1.0 : 0.55;
      if (look == 0) { colour = vec4(texture(image, seenPaint.xy).rgb * inside, 1.0); return; }
      if (look == 1) { colour = vec4(seenPaint * inside, 1.0); return; }
      float light = 0.10 + 0.66 * max(dot(n, normalize(vec3(-0.5, 0.6, 0.7))), 0.0)
        + 0.20 * max(dot(n, normalize(vec3(0.9, 0.1, 0.4))), 0.0) + 0.12 * max(n.z, 0.0);
      colour = vec4(pow(vec3(0.62, 0.61, 0.59) * light * inside, vec3(1.0 / 2.2)), 1.0);
    }`;

  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const LOOKS = ["texture", "shape", "wire"];

  function normalsOf(points, triangles) {
    const normals = new Float32Array(points.length);
    for (let t = 0; t < triangles.length; t += 3) {
      const a = 3 * triangles[t], b = 3 * triangles[t + 1], c = 3 * triangles[t + 2];
      const ux = points[b] - points[a], uy = points[b + 1] - points[a + 1], uz = points[b + 2] - points[a + 2];
      const vx = points[c] - points[a], vy = points[c + 1] - points[a + 1], vz = points[c + 2] - points[a + 2];
      const n = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx];
      for (const corner of [a, b, c]) for (let i = 0; i < 3; i++) normals[corner + i] += n[i];
    }
    for (let v = 0; v < normals.length; v += 3) {
      const length = Math.hypot(normals[v], normals[v + 1], normals[v + 2]) || 1;
      for (let i = 0; i < 3; i++) normals[v + i] /= length;
    }
    return normals;
  }

  // A shape's points and normals, one for each row of the image coordinates.
  function shapeOf(text, scene, vertex, triangles) {
    const stored = new Uint16Array(bytes(text).buffer);
    const points = Float32Array.from(stored, (value, i) => scene.low[i % 3] + scene.step * value);
    const normals = normalsOf(points, triangles.map((row) => vertex[row]));
    const spread = (values) => Float32Array.from({ length: 3 * vertex.length }, (_, i) => values[3 * vertex[(i / 3) | 0] + (i % 3)]);
    return [spread(points), spread(normals)];
  }

  function linesOf(triangles) {
    const lines = new Uint32Array(2 * triangles.length);
    for (let t = 0; t < triangles.length; t += 3) {
      for (let i = 0; i < 3; i++) {
        lines[2 * (t + i)] = triangles[t + i];
        lines[2 * (t + i) + 1] = triangles[t + ((i + 1) % 3)];
      }
    }
    return lines;
  }

  function compile(gl) {
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    ["still", "moved", "stillNormal", "movedNormal", "paint"].forEach((name, i) => gl.bindAttribLocation(program, i, name));
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    gl.useProgram(program);
    return program;
  }

  function upload(gl, scene) {
    const vertex = new Uint32Array(bytes(scene.vertex).buffer), triangles = new Uint32Array(bytes(scene.triangles).buffer);
    const [moved, movedNormal] = shapeOf(scene.positions, scene, vertex, triangles);
    const [still, stillNormal] = scene.neutral ? shapeOf(scene.neutral, scene, vertex, triangles) : [moved, movedNormal];
    const paint = Float32Array.from(new Uint16Array(bytes(scene.paint).buffer), (value) => value / 65535);
    [still, moved, stillNormal, movedNormal, paint].forEach((data, i) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(i);
      gl.vertexAttribPointer(i, 3, gl.FLOAT, false, 0, 0);
    });
    const indices = (data) => {
      const buffer = gl.createBuffer();
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, buffer);
      gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, data, gl.STATIC_DRAW);
      return { buffer, count: data.length };
    };
    return { surface: indices(triangles), lines: indices(linesOf(triangles)), points: moved };
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

  function loadImage(gl, address, then) {
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 1, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array([200, 200, 200, 255]));
    if (!address) return then();
    const picture = new Image();
    picture.onload = () => {
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, picture);
      gl.generateMipmap(gl.TEXTURE_2D);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
      const sharper = gl.getExtension("EXT_texture_filter_anisotropic");
      if (sharper) gl.texParameterf(gl.TEXTURE_2D, sharper.TEXTURE_MAX_ANISOTROPY_EXT, 4);
      then();
    };
    picture.src = address;
  }

  function setUp(canvas, scene) {
    // The drawing is kept, so that it can be saved as a picture.
    const gl = canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true });
    if (!gl) return false;
    const program = compile(gl), place = (name) => gl.getUniformLocation(program, name);
    const mesh = upload(gl, scene), { centre, radius } = bounds(mesh.points);
    const state = { yaw: 0, pitch: 0, zoom: 1, look: "texture", expression: 1 };
    let painted = false, waiting = false;
    gl.enable(gl.DEPTH_TEST);
    gl.clearColor(0.957, 0.961, 0.969, 1);
    gl.uniform3fv(place("centre"), centre);

    function show(indices, mode, look, nearer) {
      gl.uniform1i(place("look"), look);
      gl.uniform1f(place("nearer"), nearer);
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, indices.buffer);
      gl.drawElements(mode, indices.count, gl.UNSIGNED_INT, 0);
    }
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
      const distance = 8 * radius, focal = (7.2 * state.zoom * Math.min(width, height)) / height;
      gl.uniform4f(place("lens"), (focal * height) / width, focal, distance, 3 * radius);
      gl.uniform1f(place("expression"), state.expression);
      if (state.look === "wire") {
        show(mesh.surface, gl.TRIANGLES, 2, 0);
        show(mesh.lines, gl.LINES, 3, 0.002 * radius);
      } else show(mesh.surface, gl.TRIANGLES, state.look === "shape" ? 2 : scene.image ? 0 : 1, 0);
      mark();
    }
    function mark() {
      document.querySelectorAll("[data-look]").forEach((b) => b.setAttribute("aria-pressed", b.dataset.look === state.look));
      document.querySelectorAll("[data-yaw]").forEach((b) => b.setAttribute("aria-pressed", state.pitch === 0 && Number(b.dataset.yaw) === state.yaw));
      document.querySelectorAll("[data-expression]").forEach((b) => b.setAttribute("aria-pressed", state.expression > 0.5));
      if (painted) document.body.dataset.ready = state.look;
    }
    function change(values) {
      Object.assign(state, values);
      state.pitch = Math.max(-90, Math.min(90, state.pitch));
      state.zoom = Math.max(0.4, Math.min(12, state.zoom));
      if (!waiting) requestAnimationFrame(draw);
      waiting = true;
    }
    const given = new URLSearchParams(location.search);
    for (const key of ["yaw", "pitch", "zoom", "expression"]) if (Number.isFinite(parseFloat(given.get(key)))) change({ [key]: parseFloat(given.get(key)) });
    if (LOOKS.includes(given.get("look"))) change({ look: given.get("look") });
    listen(canvas, state, change);
    canvas.addEventListener("webglcontextlost", () => fail(canvas));
    new ResizeObserver(() => change({})).observe(canvas);
    loadImage(gl, scene.image, () => { painted = true; change({}); });
    draw();
    return true;
  }

  function listen(canvas, state, change) {
    const onClick = (name, values) => document.querySelectorAll(`[data-${name}]`).forEach((button) => button.addEventListener("click", () => change(values(button.dataset[name]))));
    onClick("look", (look) => ({ look }));
    onClick("yaw", (yaw) => ({ yaw: Number(yaw), pitch: 0 }));
    onClick("expression", () => ({ expression: state.expression > 0.5 ? 0 : 1 }));
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
  }

  function fail(canvas) {
    canvas.hidden = true;
    document.querySelector(".controls").hidden = true;
    document.querySelector(".without").hidden = false;
    document.body.dataset.ready = "without";
  }

  const canvas = document.querySelector("canvas");
  let shown = false;
  try { shown = setUp(canvas, JSON.parse(document.querySelector('script[type="application/json"]').textContent)); } catch (error) { console.error(error); }
  if (!shown) fail(canvas);
})();
