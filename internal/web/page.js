// Fetches what changes every two seconds, keeps open details open, and says so when the agent
// does not answer. No other state.
(() => {
  const facts = document.getElementById("facts");
  const pulse = document.getElementById("pulse");
  const url = location.pathname + "?part=facts" + (location.search.includes("window=all") ? "&window=all" : "");
  const tick = async () => {
    if (document.hidden || !getSelection().isCollapsed) return;
    try {
      const answer = await fetch(url, {cache: "no-store", signal: AbortSignal.timeout(5000)});
      if (!answer.ok) throw new Error(answer.status);
      const open = [...facts.querySelectorAll("details[open]")].map(d => d.dataset.key);
      facts.innerHTML = await answer.text();
      for (const d of facts.querySelectorAll("details")) if (open.includes(d.dataset.key)) d.open = true;
      pulse.className = "pulse live";
      pulse.textContent = "live";
    } catch {
      pulse.className = "pulse lost";
      pulse.textContent = "the agent does not answer";
    }
  };
  (async () => { for (;;) { await new Promise(r => setTimeout(r, 2000)); await tick(); } })();
})();
