// A face that can be turned, after webpage/scene.js. The page's JSON holds it (see dfmvr/reconstruct/export/viewer.py).
(() => {
  const { aim, attribute, bounds, bytes, changing, compile, context, given, normalsOf, pointsOf, steer } = turnable;
  const VERTEX = `#version 300 es
    in vec3 point, normal, paint;
    uniform mat3 turn;
    uniform vec3 centre;
    uniform vec4 lens;  // focal length / aspect, focal length, distance, reach; the last two in mm
    uniform float nearer;
    out vec3 seenNormal, seenPaint;
    void main() {
      vec3 p = turn * (point - centre);
      float depth = lens.z - p.z;
      seenNormal = turn * normal;
      seenPaint = paint;
      gl_Position = vec4(lens.xy * p.xy, (depth - nearer) * (depth - lens.z) / lens.w, depth);
    }`;
  const FRAGMENT = `#version 300 es
    precision highp float;
    in vec3 seenNormal, seenPaint;
    uniform sampler2D image;
    uniform int look;  // 0 image, 1 colours of vertices, 2 shape, 3 lines
    uniform float lit, gloss;
    out vec4 colour;
    void main() {
      if (look == 3) { colour = vec4(0.12, 0.22, 0.38, 1.0); return; }
      vec3 n = normalize(seenNormal) * (gl_FrontFacing ? 1.0 : -1.0);
      float inside = gl_FrontFacing ? 1.0 : 0.55;
      if (look < 2) {
        vec3 own = look == 0 ? texture(image, seenPaint.xy).rgb : seenPaint;
        float mirrored = gloss * pow(max(dot(n, normalize(vec3(-0.25, 0.4, 1.0))), 0.0), 300.0);
        colour = vec4(own * inside * mix(1.0, 0.55 + 0.45 * max(n.z, 0.0), lit) + mirrored, 1.0);
        return;
      }
      float light = 0.10 + 0.66 * max(dot(n, normalize(vec3(-0.5, 0.6, 0.7))), 0.0)
        + 0.20 * max(dot(n, normalize(vec3(0.9, 0.1, 0.4))), 0.0) + 0.12 * max(n.z, 0.0);
      colour = vec4(pow(vec3(0.62, 0.61, 0.59) * light * inside, vec3(1.0 / 2.2)), 1.0);
    }`;

  const LOOKS = ["texture", "shape", "wire"];

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

  // A part on the graphics card; `move` gives it an expression.
  function upload(gl, scene, part, painted) {
    const vertex = new Uint32Array(bytes(part.vertex).buffer), triangles = new Uint32Array(bytes(part.triangles).buffer);
    const still = pointsOf(part.positions, scene), corners = triangles.map((row) => vertex[row]);
    const wide = still.length / 3 > 65536 ? Uint32Array : Uint16Array;
    const targets = Object.entries(part.targets).map(([name, { rows, shifts }]) => {
      const moved = Float32Array.from(new Uint16Array(bytes(shifts).buffer), (value) => scene.shift_low + scene.shift_step * value);
      return { name, rows: new wide(bytes(rows).buffer), moved };
    });
    const points = new Float32Array(still.length), spread = new Float32Array(3 * vertex.length);
    const array = gl.createVertexArray();
    gl.bindVertexArray(array);
    attribute(gl, 2, Float32Array.from(new Uint16Array(bytes(part.paint).buffer), (value) => value / 65535), gl.FLOAT);
    const buffers = [0, 1].map((i) => {
      const buffer = gl.createBuffer();
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.enableVertexAttribArray(i);
      gl.vertexAttribPointer(i, 3, gl.FLOAT, false, 0, 0);
      return buffer;
    });
    const indices = (data) => {
      const buffer = gl.createBuffer();
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, buffer);
      gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, data, gl.STATIC_DRAW);
      return { buffer, count: data.length };
    };
    const surface = indices(triangles), lines = indices(linesOf(triangles)), image = loadImage(gl, part.image, painted);

    function move(strengths) {
      points.set(still);
      for (const { name, rows, moved } of targets) {
        const strength = strengths[name];
        if (strength) rows.forEach((row, k) => { for (let i = 0; i < 3; i++) points[3 * row + i] += strength * moved[3 * k + i]; });
      }
      [points, normalsOf(points, corners)].forEach((values, i) => {
        vertex.forEach((row, k) => { for (let j = 0; j < 3; j++) spread[3 * k + j] = values[3 * row + j]; });
        gl.bindBuffer(gl.ARRAY_BUFFER, buffers[i]);
        gl.bufferData(gl.ARRAY_BUFFER, spread, gl.DYNAMIC_DRAW);
      });
    }
    return { array, surface, lines, image, points, move, still: !targets.length, part };
  }

  function loadImage(gl, address, then) {
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 1, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array([200, 200, 200, 255]));
    if (!address) {
      then();
      return texture;
    }
    const picture = new Image();
    picture.onload = () => {
      gl.bindTexture(gl.TEXTURE_2D, texture);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, picture);
      gl.generateMipmap(gl.TEXTURE_2D);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
      const sharper = gl.getExtension("EXT_texture_filter_anisotropic");
      if (sharper) gl.texParameterf(gl.TEXTURE_2D, sharper.TEXTURE_MAX_ANISOTROPY_EXT, 4);
      then();
    };
    picture.src = address;
    return texture;
  }

  function setUp(canvas, scene) {
    const gl = context(canvas);
    if (!gl) return false;
    const program = compile(gl, VERTEX, FRAGMENT, ["point", "normal", "paint"]), place = (name) => gl.getUniformLocation(program, name);
    let waiting = scene.parts.length, stale = true;
    const painted = () => {
      waiting -= 1;
      if (!waiting) setTimeout(() => change({}), 0);
    };
    const strengths = { ...scene.strengths }, named = Object.keys(strengths);
    const parts = scene.parts.map((part) => upload(gl, scene, part, painted));
    parts.forEach((part) => part.move(strengths));
    const { centre, radius } = bounds(parts[0].points);
    const state = { yaw: 0, pitch: 0, zoom: 1, look: "texture" };
    gl.enable(gl.DEPTH_TEST);
    gl.clearColor(0, 0, 0, 0); // the page behind it, light or dark
    gl.uniform3fv(place("centre"), centre);

    function show({ array, image, part }, indices, mode, look, nearer) {
      gl.bindVertexArray(array);
      gl.bindTexture(gl.TEXTURE_2D, image);
      gl.uniform1i(place("look"), look);
      gl.uniform1f(place("nearer"), nearer);
      gl.uniform1f(place("lit"), part.lit ? 1 : 0);
      gl.uniform1f(place("gloss"), part.gloss);
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, indices.buffer);
      gl.drawElements(mode, indices.count, gl.UNSIGNED_INT, 0);
    }
    function draw() {
      if (!aim(gl, place, state, { distance: 8 * radius, focal: 7.2, reach: 3 * radius })) return;
      if (stale) parts.filter((part) => !part.still).forEach((part) => part.move(strengths));
      stale = false;
      for (const part of parts) {
        if (state.look === "wire") {
          show(part, part.surface, gl.TRIANGLES, 2, 0);
          show(part, part.lines, gl.LINES, 3, 0.002 * radius);
        } else show(part, part.surface, gl.TRIANGLES, state.look === "shape" ? 2 : part.part.image ? 0 : 1, 0);
      }
      mark();
    }
    const press = (name, is) => document.querySelectorAll(`[data-${name}]`).forEach((button) => button.setAttribute("aria-pressed", is(button.dataset[name])));
    function mark() {
      press("look", (look) => look === state.look);
      press("yaw", (yaw) => state.pitch === 0 && Number(yaw) === state.yaw);
      press("expression", () => named.every((name) => strengths[name] === scene.strengths[name]));
      press("neutral", () => named.every((name) => strengths[name] === 0));
      if (!waiting) document.body.dataset.ready = state.look;
    }
    const change = changing(state, [0.4, 12], draw);
    change(given(state));
    const look = new URLSearchParams(location.search).get("look");
    if (LOOKS.includes(look)) change({ look });

    // Give the face an expression, and the sliders their places.
    function express(values) {
      Object.assign(strengths, values);
      stale = true;
      document.querySelectorAll("[data-action]").forEach((slider) => {
        slider.value = strengths[slider.dataset.action];
        slider.nextElementSibling.value = Number(slider.value).toFixed(2);
      });
      change({});
    }
    const none = Object.fromEntries(named.map((name) => [name, 0]));
    const onClick = (name, then) => document.querySelectorAll(`[data-${name}]`).forEach((button) => button.addEventListener("click", () => then(button)));
    onClick("look", (button) => change({ look: button.dataset.look }));
    onClick("yaw", (button) => change({ yaw: Number(button.dataset.yaw), pitch: 0 }));
    onClick("expression", (button) => express(button.getAttribute("aria-pressed") === "true" ? none : scene.strengths));
    onClick("neutral", () => express(none));
    document.querySelectorAll("[data-action]").forEach((slider) => slider.addEventListener("input", () => express({ [slider.dataset.action]: Number(slider.value) })));
    steer(canvas, state, change);
    canvas.addEventListener("webglcontextlost", () => fail(canvas));
    new ResizeObserver(() => change({})).observe(canvas);
    express({});
    draw();
    return true;
  }

  function fail(canvas) {
    canvas.hidden = true;
    document.querySelectorAll(".controls, .actions").forEach((part) => { part.hidden = true; });
    document.querySelector(".without").hidden = false;
    document.body.dataset.ready = "without";
  }

  const canvas = document.querySelector("canvas");
  let shown = false;
  try { shown = setUp(canvas, JSON.parse(document.querySelector('script[type="application/json"]').textContent)); } catch (error) { console.error(error); }
  if (!shown) fail(canvas);
})();
