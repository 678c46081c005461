// Meshes on a canvas that can be turned: what the scripts of the pages share.
const turnable = (() => {
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  // Points stored as uint16: c stands for low + step * c.
  function pointsOf(text, { low, step }) {
    return Float32Array.from(new Uint16Array(bytes(text).buffer), (value, i) => low[i % 3] + step * value);
  }

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

  function bounds(points) {
    const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
    points.forEach((value, i) => {
      low[i % 3] = Math.min(low[i % 3], value);
      high[i % 3] = Math.max(high[i % 3], value);
    });
    const centre = low.map((value, i) => (value + high[i]) / 2);
    return { centre, radius: Math.max(...low.map((value, i) => (high[i] - value) / 2)) };
  }

  // Null where the browser cannot draw. The drawing is kept, so that it can be saved as a picture.
  const context = (canvas) => canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true });

  // The program in use, its attributes numbered in the order of their names.
  function compile(gl, vertexSource, fragmentSource, attributes) {
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, vertexSource], [gl.FRAGMENT_SHADER, fragmentSource]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    attributes.forEach((name, i) => gl.bindAttribLocation(program, i, name));
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    gl.useProgram(program);
    return program;
  }

  function attribute(gl, i, data, kind) {
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(i);
    gl.vertexAttribPointer(i, 3, kind, kind === gl.UNSIGNED_BYTE, 0, 0);
  }

  // Clears the canvas in its present size and sets `turn` and `lens`; false where there is nothing to draw on.
  function aim(gl, place, state, { distance, focal, reach }) {
    const canvas = gl.canvas;
    const width = Math.round(canvas.clientWidth * devicePixelRatio), height = Math.round(canvas.clientHeight * devicePixelRatio);
    if (!width || !height) return false;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    gl.viewport(0, 0, width, height);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    const [y, x] = [state.yaw, state.pitch].map((angle) => (angle * Math.PI) / 180);
    const [cy, sy, cx, sx] = [Math.cos(y), Math.sin(y), Math.cos(x), Math.sin(x)];
    gl.uniformMatrix3fv(place("turn"), false, [cy, sx * sy, -cx * sy, 0, cx, sx, sy, -sx * cy, cx * cy]);
    const short = Math.min(width, height) * state.zoom * focal;
    gl.uniform4f(place("lens"), short / width, short / height, distance, reach);
    return true;
  }

  // Numbers of the page's address that a state has.
  function given(state) {
    const address = new URLSearchParams(location.search);
    const known = Object.keys(state).filter((key) => Number.isFinite(parseFloat(address.get(key))));
    return Object.fromEntries(known.map((key) => [key, parseFloat(address.get(key))]));
  }

  // A function that changes the state and has it drawn once before the next picture.
  function changing(state, [nearest, farthest], draw) {
    let waiting = false;
    const drawNow = () => {
      waiting = false;
      draw();
    };
    return (values) => {
      Object.assign(state, values);
      state.pitch = Math.max(-90, Math.min(90, state.pitch));
      state.zoom = Math.max(nearest, Math.min(farthest, state.zoom));
      if (!waiting) requestAnimationFrame(drawNow);
      waiting = true;
    };
  }

  // Pointers, wheel and keys turn and enlarge; the wheel scrolls the page while `wheel` says no.
  function steer(canvas, state, change, wheel = () => true) {
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
      if (!wheel()) return;
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

  return { aim, attribute, bounds, bytes, changing, compile, context, given, normalsOf, pointsOf, steer };
})();
