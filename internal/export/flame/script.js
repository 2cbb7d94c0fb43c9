(function () {
  "use strict";
  var alone = document.documentElement.tagName === "svg"; // else within a page
  var svg = alone ? document.documentElement : document.currentScript.ownerSVGElement;
  var page = svg.querySelector(".page"), graph = svg.querySelector("#frames"), foot = svg.querySelector(".foot");
  var title = svg.querySelector(".title"), titleText = title.textContent;
  var facts = all(".facts"), keys = all(".key"), sentences = facts.map(function (f) { return f.textContent; });
  var margin = 16, W, top, rowHeight, charWidth, zoom = null, current = null, found = "";

  function all(selector) { return [].slice.call(svg.querySelectorAll(selector)); }
  function make(name, attributes, parent) {
    var e = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (var a in attributes) e.setAttribute(a, attributes[a]);
    return parent.appendChild(e);
  }

  // Boxes come parents before children, the largest child first.
  var last = []; // the last box of each row
  var boxes = [].map.call(graph.children, function (g) {
    var place = g.getAttribute("data-p").split(" ");
    var b = { g: g, rect: g.querySelector("rect"), text: g.querySelector("text"), name: g.getAttribute("data-n"),
      title: g.querySelector("title").textContent, x: +place[0], w: +place[1], row: +place[2], below: [] };
    b.parent = b.row ? last[b.row - 1] : null;
    b.beside = b.parent ? b.parent.below : last.first || (last.first = []);
    b.at = b.beside.push(b) - 1;
    last[b.row] = b;
    return b;
  });
  var rows = Math.max(3, last.length);

  // The text that fits; drawn the same way as fit in svg.go.
  function fit(text, pixels, each) {
    var n = Math.floor((pixels - 6) / each), letters = Array.from(text);
    if (n >= letters.length) return text;
    return n < 3 ? "" : letters.slice(0, n - 1).join("") + "\u2026";
  }

  // How wide the page is to be drawn. Phones lay a lone SVG out as if they were 980 px wide and
  // shrink that, so there the screen decides, and the viewBox enlarges the drawing.
  function available() {
    if (!alone) return svg.parentNode.getBoundingClientRect().width || 1200;
    var upright = matchMedia("(orientation: portrait)").matches;
    var side = upright ? Math.min(screen.width, screen.height) : Math.max(screen.width, screen.height);
    return Math.min(document.documentElement.clientWidth || innerWidth, side || 1e9);
  }

  function flow(things, y, height, place) {
    var x = margin;
    things.forEach(function (t) {
      var w = t.getBBox().width, more = Math.max(0, t.querySelectorAll("tspan").length - 1);
      if (x > margin && x + w > W - margin) { x = margin; y += height; }
      place(t, x, y);
      x += w + 18;
      if (more) { x = W; y += more * height; } // a sentence of several lines has them to itself
    });
    return things.length ? y + height : y;
  }

  // A sentence longer than the page is wide becomes several lines.
  function wrap(t, text) {
    t.textContent = text;
    if (t.getComputedTextLength() <= W - 2 * margin) return;
    t.textContent = "";
    var line = null;
    text.split(" ").forEach(function (word) {
      var before = line && line.textContent;
      if (line) line.textContent += " " + word;
      if (line && line.getComputedTextLength() <= W - 2 * margin) return;
      if (line) line.textContent = before;
      line = make("tspan", { x: margin, dy: line ? 17 : 0 }, t);
      line.textContent = word;
    });
  }

  // Lays everything out for a width.
  function layOut(wide, touch) {
    W = Math.max(280, Math.round(wide));
    svg.classList.toggle("touch", touch);
    rowHeight = touch ? 26 : 18;
    back.textContent = touch ? "Show all" : "Show all (Esc)";
    probe.textContent = "MMMMMMMMMM";
    charWidth = probe.getComputedTextLength() / 10 || 6.63;
    probe.textContent = "";
    var narrow = W < 640, y = 53;
    shorten(title, titleText, W - margin - (narrow ? margin : 300));
    var field = narrow ? [margin, 44, W - 2 * margin, touch ? 38 : 28] : [W - margin - 260, 12, 260, 28];
    ["x", "y", "width", "height"].forEach(function (a, i) { holder.setAttribute(a, field[i]); });
    if (narrow) y = field[1] + field[3] + 20;
    facts.forEach(function (f, i) { wrap(f, sentences[i]); });
    y = flow(facts, y, 17, function (t, x, y) {
      t.setAttribute("x", x);
      t.setAttribute("y", y);
      [].forEach.call(t.children, function (line) { line.setAttribute("x", x); });
    });
    y = flow(keys, y - 4, 18, function (k, x, y) { k.setAttribute("transform", "translate(" + x + " " + y + ")"); });
    top = y + 8;
    graph.setAttribute("transform", "translate(" + margin + " " + top + ")");
    var height = top + rows * rowHeight + 34;
    foot.setAttribute("y", height - 12);
    page.setAttribute("width", W);
    page.setAttribute("height", height);
    svg.setAttribute("viewBox", "0 0 " + W + " " + height);
    var real = alone ? document.documentElement.clientWidth || W : W;
    svg.setAttribute("width", Math.max(real, W));
    svg.setAttribute("height", height * Math.max(real, W) / W);
    boxes.forEach(function (b) {
      b.rect.setAttribute("y", b.row * rowHeight);
      b.rect.setAttribute("height", rowHeight - 1);
      b.text.setAttribute("y", b.row * rowHeight + rowHeight / 2 + 3);
    });
    draw();
  }

  function draw() {
    var left = zoom ? zoom.x : 0, share = zoom ? zoom.w : 1, edge = 1e-9, pixels = W - 2 * margin;
    boxes.forEach(function (b) {
      var from = Math.max(0, (b.x - left) / share), to = Math.min(1, (b.x + b.w - left) / share);
      var above = zoom && b.row < zoom.row && b.x <= zoom.x + edge && b.x + b.w >= zoom.x + zoom.w - edge;
      var inside = !zoom || (b.row >= zoom.row && b.x >= zoom.x - edge && b.x + b.w <= zoom.x + zoom.w + edge);
      b.g.style.display = above || inside ? "" : "none";
      if (!above && !inside) return;
      b.g.classList.toggle("dim", !!above);
      b.rect.setAttribute("x", from * pixels);
      b.rect.setAttribute("width", Math.max(0, (to - from) * pixels));
      b.text.setAttribute("x", from * pixels + 4);
      b.text.textContent = fit(b.name, (to - from) * pixels, charWidth);
    });
    say(current);
  }

  function zoomTo(b) { zoom = b; draw(); }

  // The bar at the lower edge of the window says what one points at, what was found, and leads
  // back from a zoom.
  function say(b) {
    var lines = b ? b.title.split("\n") : found ? [found] : zoom ? zoom.title.split("\n") : [];
    bar.style.display = lines.length || zoom ? "" : "none";
    back.style.display = zoom ? "" : "none";
    if (!lines.length && !zoom) return;
    if (lines.length === 4 && W >= 900) lines = [lines[0], lines[2], lines[3], lines[1]]; // the place last
    if (W >= 900) lines = [lines.join("  \u00b7  ")];
    texts.forEach(function (t, i) { shorten(t, lines[i] || "", W - 2 * margin - (i || !zoom ? 0 : 110)); });
    bar.setAttribute("data-lines", lines.length || 1);
    place();
  }

  // Of a path the end says most.
  function shorten(t, text, pixels) {
    t.textContent = text;
    var letters = Array.from(text), length = t.getComputedTextLength();
    if (length <= pixels) return;
    var n = Math.max(1, Math.floor(letters.length * pixels / length) - 1);
    t.textContent = text.charAt(0) === "/" ? "\u2026" + letters.slice(-n).join("") : letters.slice(0, n).join("") + "\u2026";
  }

  function place() {
    var height = 12 + 17 * bar.getAttribute("data-lines"), scale = (parseFloat(svg.getAttribute("width")) || W) / W;
    var box = svg.getBoundingClientRect();
    var bottom = Math.min((innerHeight - box.top) / scale, page.getAttribute("height"));
    bar.setAttribute("transform", "translate(0 " + (bottom - height) + ")");
    back.setAttribute("x", W - margin);
    plate.setAttribute("x", -1);
    plate.setAttribute("width", W + 2);
    plate.setAttribute("height", height + 2);
  }

  // A match may lie within another: only the outermost counts for the sum.
  function search(words) {
    var wanted = words.trim().toLowerCase(), sum = 0, hits = 0, covered = [];
    boxes.forEach(function (b) {
      b.hit = wanted !== "" && b.title.toLowerCase().split("\n").slice(0, 2).join("\n").indexOf(wanted) >= 0;
      b.g.classList.toggle("hit", b.hit);
      if (!b.hit) return;
      hits++;
      for (var p = b.parent; p; p = p.parent) if (p.hit) return;
      sum += b.w;
    });
    found = wanted === "" ? "" : hits + " frames match, " + (100 * sum).toFixed(1) + " % of all";
    current = null;
    say(null);
  }

  function focus(b) {
    if (!b) return;
    if (current) current.g.setAttribute("tabindex", "-1");
    current = b;
    b.g.setAttribute("tabindex", "0");
    b.g.focus();
    say(b);
  }

  function shown(b) { return b.g.style.display !== "none"; }

  // The next frame in a direction, as the arrow keys name it.
  function neighbour(b, key) {
    if (!b) return zoom || boxes[0];
    if (key === "ArrowUp") return b.parent;
    if (key === "ArrowDown") return b.below.filter(shown)[0];
    return b.beside[b.at + (key === "ArrowRight" ? 1 : -1)];
  }

  function key(e) {
    if (e.key === "/" && e.target !== input || (e.key === "f" || e.key === "F") && (e.ctrlKey || e.metaKey) && document.activeElement !== input) {
      input.focus(); // a second Ctrl-F is the browser's
      input.select();
    } else if (e.target === input) {
      if (e.key === "Escape") { input.value = ""; search(""); input.blur(); }
      else if (e.key === "Enter") focus(boxes.filter(function (b) { return b.hit && shown(b); })[0]);
      else return;
    } else if (/^Arrow/.test(e.key) && !e.ctrlKey && !e.metaKey && !e.altKey) {
      var next = neighbour(current, e.key);
      if (next && shown(next)) focus(next);
    } else if (e.key === "n" && found) {
      var hits = boxes.filter(function (b) { return b.hit && shown(b); });
      focus(hits[(hits.indexOf(current) + 1) % hits.length]);
    } else if ((e.key === "Enter" || e.key === " ") && current) zoomTo(current);
    else if (e.key === "Escape") zoomTo(null);
    else return;
    e.preventDefault();
  }

  // The field needs HTML, which a plain image must not contain.
  var holder = make("foreignObject", {}, svg);
  var input = document.createElementNS("http://www.w3.org/1999/xhtml", "input");
  input.setAttribute("type", "search");
  input.setAttribute("placeholder", "Search functions and files ( / )");
  input.setAttribute("aria-label", "Search functions and files");
  input.addEventListener("input", function () { search(input.value); });
  holder.appendChild(input);
  var probe = make("text", {}, graph);
  var bar = make("g", { "class": "bar" }, svg), plate = make("rect", {}, bar);
  var texts = [0, 1, 2, 3].map(function (i) { return make("text", { x: margin, y: 19 + 17 * i }, bar); });
  var back = make("text", { "class": "button", y: 19, "text-anchor": "end" }, bar);
  back.addEventListener("click", function () { current = null; zoomTo(null); });

  boxes.forEach(function (b) {
    b.g.setAttribute("tabindex", "-1");
    b.g.addEventListener("click", function () { current = b; zoomTo(b); });
    b.g.addEventListener("mouseenter", function () { say(b); });
    b.g.addEventListener("mouseleave", function () { say(current); });
    b.g.addEventListener("focus", function () { current = b; say(b); });
  });
  boxes[0].g.setAttribute("tabindex", "0");

  function screenLayout() { layOut(available(), matchMedia("(pointer: coarse)").matches); }
  document.addEventListener("keydown", key);
  addEventListener("resize", screenLayout);
  addEventListener("scroll", place, { passive: true });
  // On paper the whole graph, in lines as long as those of the plain image.
  var before = null;
  addEventListener("beforeprint", function () { before = zoom; zoom = null; layOut(1200, false); });
  addEventListener("afterprint", function () { zoom = before; screenLayout(); });
  screenLayout();
})();
