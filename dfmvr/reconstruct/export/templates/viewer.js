// A face that can be turned, after webpage/scene.js. The page's JSON holds it (see dfmvr/reconstruct/export/viewer.py).
(() => {
  const { aim, attribute, bounds, bytes, changing, compile, context, given, normalsOf, pointsOf, steer } = turnable;
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

  const LOOKS = ["texture", "shape", "wire"];

  // A shape's points and normals, one for each row of the image coordinates.
  function shapeOf(text, scene, vertex, triangles) {
    const points = pointsOf(text, scene);
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

  function upload(gl, scene) {
    const vertex = new Uint32Array(bytes(scene.vertex).buffer), triangles = new Uint32Array(bytes(scene.triangles).buffer);
    const [moved, movedNormal] = shapeOf(scene.positions, scene, vertex, triangles);
    const [still, stillNormal] = scene.neutral ? shapeOf(scene.neutral, scene, vertex, triangles) : [moved, movedNormal];
    const paint = Float32Array.from(new Uint16Array(bytes(scene.paint).buffer), (value) => value / 65535);
    [still, moved, stillNormal, movedNormal, paint].forEach((data, i) => attribute(gl, i, data, gl.FLOAT));
    const indices = (data) => {
      const buffer = gl.createBuffer();
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, buffer);
      gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, data, gl.STATIC_DRAW);
      return { buffer, count: data.length };
    };
    return { surface: indices(triangles), lines: indices(linesOf(triangles)), points: moved };
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
    const gl = context(canvas);
    if (!gl) return false;
    const program = compile(gl, VERTEX, FRAGMENT, ["still", "moved", "stillNormal", "movedNormal", "paint"]), place = (name) => gl.getUniformLocation(program, name);
    const mesh = upload(gl, scene), { centre, radius } = bounds(mesh.points);
    const state = { yaw: 0, pitch: 0, zoom: 1, look: "texture", expression: 1 };
    let painted = false;
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
      if (!aim(gl, place, state, { distance: 8 * radius, focal: 7.2, reach: 3 * radius })) return;
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
    const change = changing(state, [0.4, 12], draw);
    change(given(state));
    const look = new URLSearchParams(location.search).get("look");
    if (LOOKS.includes(look)) change({ look });
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
    steer(canvas, state, change);
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
