// Starts, changes and stops runs through the REST interface, and draws what /live gives: facts
// as the server wrote them, and a chart point for each second.
(() => {
  "use strict";
  const $ = id => document.getElementById(id);
  const words = {ready: "ready", spawning: "starting users", running: "running", cleanup: "stopping: waiting for requests under way", stopped: "stopped"};
  let state = document.body.dataset.state, asked = state === "ready", load = {};

  // What the page shows in each state.
  const show = () => {
    const runs = state === "spawning" || state === "running", ends = state === "cleanup";
    $("setup").hidden = runs || ends || !asked;
    $("new").hidden = runs || ends || asked;
    $("stop").hidden = !runs && !ends;
    $("stop").disabled = ends;
    $("change").hidden = !runs;
    $("reset").hidden = !runs && state !== "stopped";
    $("pulse").dataset.state = state;
    $("pulse").textContent = words[state] || state;
    $("charts").hidden = state === "ready" || !data.at.length;
    $("downloads").hidden = state === "ready";
  };
  const complain = text => {
    $("complaint").hidden = !text;
    $("complaint").textContent = text || "";
    if (text) $("complaint").scrollIntoView({block: "nearest"});
  };

  // Forms. Fields of the other model are disabled, so that they are neither sent nor checked.
  const model = (form, which) => {
    for (const l of form.querySelectorAll("[data-model]")) {
      l.hidden = l.dataset.model !== which;
      l.querySelector("input").disabled = l.hidden;
    }
  };
  const chosen = () => $("start").elements.model.value;
  for (const radio of $("start").querySelectorAll("[name=model]")) radio.addEventListener("change", () => model($("start"), chosen()));
  const swarm = async form => {
    const fields = new URLSearchParams(new FormData(form));
    fields.delete("model");
    if (!fields.get("tags")) fields.delete("tags");
    try {
      const answer = await (await fetch("swarm", {method: "POST", body: fields})).json();
      complain(answer.success ? "" : answer.message);
      return answer.success;
    } catch {
      complain("The loader does not answer.");
      return false;
    }
  };
  $("start").addEventListener("submit", async e => {
    e.preventDefault();
    if (await swarm(e.target)) { asked = false; await tick(); scrollTo(0, 0); }
  });
  $("editForm").addEventListener("submit", async e => {
    e.preventDefault();
    if (await swarm(e.target)) await tick();
    $("edit").close();
  });
  $("cancel").addEventListener("click", () => $("edit").close());
  $("change").addEventListener("click", () => { 
    const fields = $("editForm").elements;
    fields.user_count.value = load.users;
    fields.spawn_rate.value = load.spawn_rate || 1;
    fields.rate.value = load.rate || 1;
    fields.run_time.value = "";
    model($("editForm"), load.open ? "open" : "closed");
    $("edit").showModal();
  });
  $("new").addEventListener("click", () => { asked = true; show(); $("start").elements.host.focus(); });
  $("stop").addEventListener("click", async () => {
    $("stop").disabled = true;
    fetch("stop").then(tick);
    setTimeout(tick, 200);
  });
  $("reset").addEventListener("click", async () => { await fetch("stats/reset"); await tick(); });
  $("log").addEventListener("toggle", async () => {
    if ($("log").open) $("lines").textContent = (await (await fetch("logs")).json()).master.join("\n") || "nothing was logged";
  });

  // Charts.
  const names = ["at", "users", "rps", "fails", "r50", "r95", "s50", "s95", "heat"];
  const data = {epoch: 0, next: 0};
  const empty = () => { for (const n of names) data[n] = []; data.next = 0; };
  empty();
  const colour = name => () => getComputedStyle(document.body).getPropertyValue(name).trim();
  const faded = name => () => `color-mix(in srgb, ${colour(name)()} 12%, transparent)`;
  const number = v => v == null ? "–" : String(v >= 100 ? Math.round(v) : +v.toPrecision(3));
  const time = v => v == null ? "–" : v >= 1000 ? +(v / 1000).toPrecision(3) + " s" : +v.toPrecision(3) + " ms";
  const hour = at => new Date(at * 1000).toTimeString().slice(0, 8);
  const axis = (format, more) => ({stroke: colour("--soft"), grid: {stroke: colour("--line"), width: 1}, ticks: {show: false}, size: 58, gap: 6,
    font: "11px system-ui, sans-serif", values: (_, vs) => vs.map(v => v == null ? "" : format(v)), ...more});
  const line = (label, stroke, format, more) => ({label, stroke: colour(stroke), width: 1.75, points: {show: false}, value: (_, v) => format(v), ...more});
  const plots = [];
  const plot = (id, of, format, series, more) => {
    const room = $(id);
    const size = () => ({width: Math.max(room.clientWidth, 200), height: room.clientWidth < 420 ? 190 : 230});
    const u = new uPlot({...size(), cursor: {sync: {key: "run"}, drag: {x: true, y: false}}, legend: {live: true, markers: {dash: (u, i) => u.series[i].dash ? "dotted" : "solid"}},
      scales: {y: {range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1]}},
      axes: [axis(hour, {size: 24, space: 76}), axis(format)], series: [{label: "at", value: (_, v) => v == null ? "–" : hour(v)}, ...series], ...more}, of(), room);
    const watch = new ResizeObserver(() => { if (room.clientWidth) u.setSize(size()); });
    watch.observe(room);
    plots.push({draw: () => u.setData(of()), drop: () => { watch.disconnect(); u.destroy(); }});
  };
  const row = r => 10 ** (r / 8 - 1); // lower edge in ms; the server counts in these rows
  // Cells of the heatmap, below the line of p95.
  const cells = u => {
    const {ctx} = u, most = Math.max(1, ...data.heat.map(h => Math.max(0, ...h.filter((_, i) => i % 2))));
    ctx.save();
    ctx.beginPath();
    ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    ctx.clip();
    ctx.fillStyle = colour("--accent")();
    data.heat.forEach((h, i) => {
      const end = data.at[i], gap = i ? Math.min(end - data.at[i - 1], 5) : 1;
      const x = Math.round(u.valToPos(end - gap, "x", true)), w = Math.max(Math.round(u.valToPos(end, "x", true)) - x, 1);
      for (let k = 0; k < h.length; k += 2) {
        const y = Math.round(u.valToPos(row(h[k] + 1), "y", true));
        ctx.globalAlpha = .12 + .88 * Math.log1p(h[k + 1]) / Math.log1p(most);
        ctx.fillRect(x, y, w, Math.round(u.valToPos(row(h[k]), "y", true)) - y);
      }
    });
    ctx.restore();
  };
  const band = () => { // the rows in use
    let low = Infinity, high = 0;
    for (const h of data.heat) if (h.length) { low = Math.min(low, h[0]); high = Math.max(high, h[h.length - 2]); }
    return low > high ? [1, 1000] : [row(low - 1), row(high + 2)];
  };
  const setUp = () => {
    plot("rps", () => [data.at, data.rps, data.fails], number, [line("requests", "--accent", number, {fill: faded("--accent")}), line("failures", "--bad", number)]);
    plot("users", () => [data.at, data.users], number, [line(load.open ? "under way" : "users", "--ollama", number, {fill: faded("--ollama"), paths: uPlot.paths.stepped({align: -1})})]);
    plot("times", () => [data.at, data.r50, data.r95, data.s50, data.s95], time, [line("response p50", "--accent", time), line("response p95", "--warn", time),
      line("service p50", "--accent", time, {dash: [4, 4], width: 1.25}), line("service p95", "--warn", time, {dash: [4, 4], width: 1.25})]);
    plot("heat", () => [data.at, data.r95], time, [line("response p95", "--warn", time, {width: 1.25})],
      {scales: {y: {distr: 3, range: band}}, axes: [axis(hour, {size: 24, space: 76}), axis(time, {grid: {show: false}})], hooks: {drawClear: [cells]}});
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { // legends keep the colours that they were made with
    if (!plots.length) return;
    plots.splice(0).forEach(p => p.drop());
    setUp();
  });

  const take = c => {
    if (c.epoch !== data.epoch || c.from !== data.next) empty();
    data.epoch = c.epoch;
    for (const n of names) data[n].push(...(c[n] || []));
    data.next = c.from + (c.at || []).length;
    const extra = data.at.length - 3600;
    if (extra > 0) for (const n of names) data[n].splice(0, extra);
    return (c.at || []).length > 0;
  };

  const once = async () => {
    const answer = await fetch(`live?epoch=${data.epoch}&from=${data.next}`, {cache: "no-store", signal: AbortSignal.timeout(10000)});
    if (!answer.ok) throw new Error(answer.status);
    const live = await answer.json();
    const before = state;
    state = live.state;
    load = live;
    if (before !== state && before === "ready") asked = false;
    if (getSelection().isCollapsed) {
      $("facts").innerHTML = live.html;
      $("failures").replaceChildren($("failed").content);
    }
    const epoch = data.epoch, more = take(live.chart);
    show();
    if ((more || epoch !== data.epoch) && data.at.length) {
      if (!plots.length) setUp();
      plots.forEach(p => p.draw());
    }
  };
  let asking = null;
  const tick = () => asking ||= once().catch(() => {
    $("pulse").dataset.state = "cleanup";
    $("pulse").textContent = "the loader does not answer";
  }).finally(() => { asking = null; });
  const agent = async () => {
    const answer = await fetch("agent", {cache: "no-store"});
    const kept = [...$("waits").querySelectorAll("details[open]")].map(d => d.dataset.key);
    if (answer.ok) $("waits").innerHTML = await answer.text();
    else { $("waits").innerHTML = "<p class=notice></p>"; $("waits").firstChild.textContent = await answer.text(); }
    for (const d of $("waits").querySelectorAll("details")) if (kept.includes(d.dataset.key)) d.open = true;
  };
  model($("start"), chosen());
  show();
  (async () => {
    for (let n = 0; ; n++) {
      if (!document.hidden || n < 2) {
        await tick();
        if ($("agent") && n % 2 === 0 && getSelection().isCollapsed) await agent().catch(() => {});
      }
      await new Promise(r => setTimeout(r, state === "ready" ? 2000 : 1000));
    }
  })();
})();
