// The page's script. The server holds what the page shows (`state`); this asks for it and draws what has changed.
(() => {
  const SOON_MS = 300, LATER_MS = 15000, KEPT = "session";
  const OPTIONS = ["same_expression", "within_model", "fast", "avatar"];
  const byId = (id) => document.getElementById(id);
  const cards = new Map(), said = new Map();  // by a photograph's number: its card, and the view that the person tells
  let session = "", state = null, uploading = 0, timer = 0, shownRun = "", shownMade = 0;

  // --- the server

  async function ask(path, method = "GET", body = undefined) {
    const answer = await fetch(path, { method, body });
    const type = answer.headers.get("content-type") || "";
    const told = type.startsWith("application/json") ? await answer.json() : {};
    if (!answer.ok) throw Object.assign(new Error(told.error || `the program answers ${answer.status}`), { status: answer.status });
    return told;
  }
  const mine = (path = "") => `sessions/${session}${path}`;
  const tell = (path, value) => ask(mine(path), "POST", JSON.stringify(value));

  async function begin() {
    session = sessionStorage.getItem(KEPT) || "";
    try {
      if (session) return draw(await ask(mine()));
    } catch (error) {
      if (error.status !== 404) throw error;
    }
    session = (await ask("sessions", "POST")).session;
    sessionStorage.setItem(KEPT, session);
    draw(await ask(mine()));
  }

  async function refresh() {
    clearTimeout(timer);
    try {
      draw(await ask(mine()));
    } catch (error) {
      if (error.status === 404) {
        sessionStorage.removeItem(KEPT);
        complain("The photographs of this page have been removed, since it was left for long. Load it again.");
        return;
      }
      complain("The program does not answer; is it still running?");
    }
    clearTimeout(timer);
    timer = setTimeout(refresh, isBusy() ? SOON_MS : LATER_MS);
  }

  const isOpen = (run) => Boolean(run) && ["waiting", "running"].includes(run.state);
  const isBusy = () => !state || !state.ready || uploading > 0 || isOpen(state.run) || state.photographs.some((one) => !one.looked);

  function complain(text) {
    byId("problem").textContent = text;
    byId("problem").hidden = !text;
  }

  async function attempt(action) {
    complain("");
    try {
      await action();
    } catch (error) {
      complain(error.message);
    }
    await refresh();
  }

  // --- photographs

  async function send(files) {
    if (!files.length) return;
    complain("");
    uploading += files.length;
    const problems = [];
    for (const file of files) {
      try {
        await ask(mine(`/photographs?name=${encodeURIComponent(file.name)}`), "POST", file);
      } catch (error) {
        problems.push(error.status ? error.message : `${file.name}: cannot be read; is it a folder?`);
      }
      uploading -= 1;
      await refresh();
    }
    if (problems.length) complain([...new Set(problems)].join("\n"));
  }

  function cardOf(photograph) {
    if (!cards.has(photograph.number)) {
      const card = byId("card").content.cloneNode(true).firstElementChild;
      card.querySelector(".small").addEventListener("click", () => leave(photograph.number));
      card.querySelector("select").addEventListener("change", (event) => swap(photograph.number, event.target.value));
      byId("photographs").append(card);
      cards.set(photograph.number, { card, shown: "" });
    }
    return cards.get(photograph.number);
  }

  async function leave(number) {
    const numbers = state.photographs.map((one) => one.number), next = numbers[numbers.indexOf(number) + 1];
    await attempt(() => ask(mine(`/photographs/${number}`), "DELETE"));
    const kept = cards.get(next ?? number);
    (kept ? kept.card.querySelector(".small") : byId("choose")).focus();
  }

  function drawCard(photograph) {
    const held = cardOf(photograph), { card } = held, told = JSON.stringify(photograph);
    if (held.shown === told) return;
    held.shown = told;
    const part = (selector) => card.querySelector(selector), picture = part(".picture"), image = part("img");
    picture.classList.toggle("waiting", !photograph.picture);
    image.hidden = !photograph.picture;
    image.alt = `Photograph ${photograph.name}`;
    if (photograph.picture) {
      const address = mine(`/photographs/${photograph.number}`);
      if (image.getAttribute("src") !== address) image.src = address;
    }
    part(".name").textContent = photograph.name;
    part(".of-view").textContent = photograph.looked ? describe(photograph) : "Looking for faces …";
    part(".problem").textContent = photograph.problem || "";
    part(".problem").hidden = !photograph.problem;
    part(".small").setAttribute("aria-label", `Remove ${photograph.name}`);
    part("select").setAttribute("aria-label", `View of ${photograph.name}`);
    drawMarks(picture, photograph);
  }

  function describe(photograph) {
    if (photograph.problem) return "";
    const turned = Math.abs(photograph.yaw), side = photograph.yaw < 0 ? "left" : "right";
    const pose = turned < 4 ? "frontal" : `turned ${turned}° to the ${side}`;
    return [`${pose}; ${photograph.view.replace(/(\d+)$/, " $1")} view`, ...photograph.notes.map((note) => note.replace(`${photograph.name}: `, "").replace("--face takes another", "another frame takes another"))].join(". ");
  }

  // The box of landmarks, which end at the brows, widened to the head.
  function framed([left, top, right, bottom]) {
    const width = right - left, height = bottom - top;
    return [left - 0.15 * width, top - 0.45 * height, right + 0.15 * width, bottom + 0.1 * height].map((place) => Math.max(0, Math.min(1, place)));
  }

  function drawMarks(picture, photograph) {
    const svg = picture.querySelector("svg"), aspect = photograph.aspect || 1, radius = 0.006;
    svg.replaceChildren(...(photograph.landmarks || []).map(([x, y]) => {
      const mark = document.createElementNS("http://www.w3.org/2000/svg", "ellipse");
      const places = { cx: x, cy: y, rx: radius * Math.min(1, 1 / aspect), ry: radius * Math.min(1, aspect) };
      Object.entries(places).forEach(([name, value]) => mark.setAttribute(name, value));
      return mark;
    }));
    const faces = photograph.faces && photograph.faces.length > 1 ? photograph.faces : [];
    const focused = picture.contains(document.activeElement) ? [...picture.querySelectorAll("button")].indexOf(document.activeElement) : -1;
    if (photograph.looked) picture.querySelectorAll("button").forEach((button) => button.remove());
    const buttons = faces.map((box, i) => {
      const [left, top, right, bottom] = framed(box);
      const button = document.createElement("button"), label = document.createElement("span");
      button.type = "button";
      label.textContent = i + 1;
      button.append(label);
      button.setAttribute("aria-label", `Face ${i + 1} of ${faces.length} in ${photograph.name}`);
      button.setAttribute("aria-pressed", photograph.face === i + 1);
      const share = (value) => `${100 * value}%`;
      Object.assign(button.style, { left: share(left), top: share(top), width: share(right - left), height: share(bottom - top) });
      button.addEventListener("click", () => attempt(() => tell(`/photographs/${photograph.number}/face`, { face: i + 1 })));
      return button;
    });
    picture.append(...buttons);
    if (focused >= 0 && buttons[focused]) buttons[focused].focus();
  }

  // --- which view is which

  const tellsSides = () => document.querySelector('[name="sides"]:checked').value === "said" && canTellSides();
  const usable = () => state.photographs.filter((one) => !one.problem);
  const canTellSides = () => usable().length > 0 && usable().length <= 3;

  // Each photograph has a view of its own: who takes another's gives it the one that is left free.
  function swap(number, view) {
    const other = [...said].find(([one, its]) => one !== number && its === view);
    if (other) said.set(other[0], said.get(number));
    said.set(number, view);
    drawSides();
  }

  function drawSides() {
    const present = usable().map((one) => one.number);
    [...said.keys()].filter((number) => !present.includes(number)).forEach((number) => said.delete(number));
    for (const { number, view } of usable()) {
      const views = ["left", "front", "right"], taken = [...said.values()];
      if (said.has(number) || !canTellSides()) continue;
      if (views.includes(view) || !isBusy()) said.set(number, views.includes(view) && !taken.includes(view) ? view : views.find((one) => !taken.includes(one)));
    }
    byId("sides").hidden = !present.length;
    byId("sides").disabled = !canTellSides();
    byId("sides-hint").textContent = canTellSides() ? "In the left view the nose points to the image’s left." : "Of more than three photographs the program tells.";
    for (const [number, { card }] of cards) {
      const select = card.querySelector("select");
      select.hidden = !tellsSides() || !said.has(number);
      if (said.has(number)) select.value = said.get(number);
    }
  }

  // --- the face

  function start() {
    const sides = tellsSides() ? Object.fromEntries([...said].map(([number, view]) => [view, number])) : null;
    return attempt(() => tell("/run", { sides, ...Object.fromEntries(OPTIONS.map((name) => [name, byId(name).checked])) }));
  }

  function drawRun() {
    const { run } = state, open = isOpen(run), hadFocus = document.activeElement;
    const ready = usable().some((one) => one.looked);
    byId("start").disabled = open || !state.ready || Boolean(state.problem) || uploading > 0 || !ready;
    byId("cancel").hidden = !open;
    byId("progress").hidden = !open;
    if (open) {
      const waits = run.ahead ? `Waiting: ${run.ahead} ${run.ahead === 1 ? "face comes" : "faces come"} first` : run.stage || "Waiting";
      byId("stage").textContent = run.stopping ? "Stopping …" : waits;
      byId("bar").value = run.share;
    }
    const key = run ? `${run.number} ${run.state}` : "";
    if (key === shownRun) return;
    const watched = hadFocus && ["start", "cancel"].includes(hadFocus.id);
    shownRun = key;
    byId("outcome").textContent = !run || open ? "" : { done: "The face is ready.", cancelled: "Cancelled.", failed: run.problem }[run.state];
    byId("outcome").className = run && run.state === "failed" ? "problem" : "";
    if (open && watched) byId("cancel").focus();
    if (!open && watched) (run.state === "done" ? byId("of-result") : byId("start")).focus();
  }

  function drawMade() {
    const { made } = state;
    byId("result").hidden = !made;
    if (!made || made.number === shownMade) return;
    shownMade = made.number;
    const address = (name) => mine(`/made/${made.number}/${name}`);
    byId("viewer").src = address("viewer.html");
    byId("notes").replaceChildren(...made.notes.map((note) => Object.assign(document.createElement("li"), { textContent: note })));
    document.querySelectorAll("[data-file]").forEach((link) => { link.href = address(link.dataset.file); });
    document.querySelector('[data-file="avatar.glb"]').hidden = !made.avatar;
  }

  function draw(told) {
    state = told;
    byId("loading").hidden = state.ready;
    if (state.problem) complain(state.problem);
    const present = new Set(state.photographs.map((one) => one.number));
    for (const [number, { card }] of cards) {
      if (present.has(number)) continue;
      card.remove();
      cards.delete(number);
    }
    state.photographs.forEach(drawCard);
    drawSides();
    drawMade();
    drawRun();
    document.body.dataset.state = isBusy() ? "busy" : "idle";
  }

  // --- the person

  byId("choose").addEventListener("click", () => byId("files").click());
  // Chromium opens no choice of files while Enter is down, so that it is chosen with when it comes up, as Space is.
  let entered = false;
  byId("choose").addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    entered = true;
  });
  byId("choose").addEventListener("keyup", (event) => {
    if (event.key === "Enter" && entered) byId("files").click();
    entered = false;
  });
  byId("choose").addEventListener("blur", () => { entered = false; });
  byId("files").addEventListener("change", async (event) => {
    const files = [...event.target.files];
    event.target.value = "";
    await send(files);
  });
  for (const name of ["dragover", "dragenter"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      document.body.classList.add("over");
    });
  }
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("over"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("over");
    send([...event.dataTransfer.files]);
  });
  document.addEventListener("paste", (event) => send([...event.clipboardData.files]));
  document.querySelectorAll('[name="sides"]').forEach((radio) => radio.addEventListener("change", drawSides));
  byId("start").addEventListener("click", start);
  byId("cancel").addEventListener("click", () => attempt(() => ask(mine("/run"), "DELETE")));
  addEventListener("pagehide", () => navigator.sendBeacon(mine("/leave")));
  addEventListener("pageshow", (event) => { if (event.persisted) refresh(); });

  begin().then(refresh, (error) => complain(error.message));
})();
