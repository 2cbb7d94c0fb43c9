(function () {
  "use strict";
  var svg = document.documentElement.tagName === "svg" ? document.documentElement : document.currentScript.ownerSVGElement;
  var boxes = [].slice.call(svg.querySelectorAll("#frames g")).map(function (g) {
    var place = g.getAttribute("data-p").split(" ");
    return { g: g, rect: g.querySelector("rect"), text: g.querySelector("text"), name: g.getAttribute("data-n"),
      title: g.querySelector("title").textContent, x: +place[0], w: +place[1], row: +place[2] };
  });
  var size = svg.querySelector("#frames").getAttribute("data-s").split(" ").map(Number); // margin, width, character width
  var foot = svg.querySelector(".foot"), footText = foot.textContent, reset = svg.querySelector(".reset");

  // The text that fits; drawn the same way as layout and svg.go do.
  function fit(name, pixels) {
    var n = Math.floor((pixels - 6) / size[2]), letters = Array.from(name);
    if (n >= letters.length) return name;
    return n < 3 ? "" : letters.slice(0, n - 1).join("") + "\u2026";
  }

  function draw(zoom) {
    var left = zoom ? zoom.x : 0, share = zoom ? zoom.w : 1, edge = 1e-9;
    boxes.forEach(function (b) {
      var from = Math.max(0, (b.x - left) / share), to = Math.min(1, (b.x + b.w - left) / share);
      var parent = zoom && b.row < zoom.row && b.x <= zoom.x + edge && b.x + b.w >= zoom.x + zoom.w - edge;
      var inside = !zoom || (b.row >= zoom.row && b.x >= zoom.x - edge && b.x + b.w <= zoom.x + zoom.w + edge);
      b.g.style.display = parent || inside ? "" : "none";
      if (!parent && !inside) return;
      b.g.classList.toggle("dim", !!parent);
      b.rect.setAttribute("x", size[0] + from * size[1]);
      b.rect.setAttribute("width", Math.max(0, (to - from) * size[1]));
      b.text.setAttribute("x", size[0] + from * size[1] + 4);
      b.text.textContent = fit(b.name, (to - from) * size[1]);
    });
    reset.style.visibility = zoom ? "visible" : "hidden";
  }

  function say(text) { foot.textContent = text || footText; }

  // A match may lie within another: only the outermost counts for the sum.
  function search(words) {
    var wanted = words.trim().toLowerCase(), sum = 0, hits = 0, covered = [];
    boxes.forEach(function (b) {
      var hit = wanted !== "" && b.title.toLowerCase().split("\n").slice(0, 2).join("\n").indexOf(wanted) >= 0;
      b.g.classList.toggle("hit", hit);
      if (!hit) return;
      hits++;
      if (covered.some(function (c) { return c.x <= b.x + 1e-9 && c.x + c.w >= b.x + b.w - 1e-9; })) return;
      covered.push(b);
      sum += b.w;
    });
    footText = wanted === "" ? original : hits + " frames match, " + (100 * sum).toFixed(1) + " % of all";
    say();
  }
  var original = footText;

  boxes.forEach(function (b) {
    b.g.addEventListener("click", function () { draw(b); });
    b.g.addEventListener("mouseenter", function () { say(b.title.split("\n").join("  \u00b7  ")); });
    b.g.addEventListener("mouseleave", function () { say(); });
  });
  reset.addEventListener("click", function () { draw(null); });
  document.addEventListener("keydown", function (e) { if (e.key === "Escape") draw(null); });

  // The field needs HTML, which a plain image must not contain.
  var holder = document.createElementNS("http://www.w3.org/2000/svg", "foreignObject");
  [["x", size[0] + size[1] - 260], ["y", 14], ["width", 260], ["height", 26]].forEach(function (a) { holder.setAttribute(a[0], a[1]); });
  var input = document.createElementNS("http://www.w3.org/1999/xhtml", "input");
  input.setAttribute("type", "search");
  input.setAttribute("placeholder", "Search functions and files");
  input.addEventListener("input", function () { search(input.value); });
  holder.appendChild(input);
  svg.appendChild(holder);
})();
