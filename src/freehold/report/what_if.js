// The sliders of a report. Costs are computed here as `total_cost` does; verdicts are looked up, never made.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("what-if-data").textContent);
  const part = (name) => document.getElementById(`what-if-${name}`);
  const words = { P: "✓ PASS", U: "? UNDECIDED", F: "✗ FAIL" };
  const roles = { P: "nw t-pass", U: "nw t-undecided", F: "nw t-fail" };

  const amount = (value) => {
    if (value >= 100) {
      let whole = Math.round(value);
      if (value % 1 === 0.5 && whole % 2) whole -= 1;
      return whole.toLocaleString("en-US");
    }
    if (value >= 0.01 || value === 0) return value.toFixed(2);
    if (value < 0.0001) return "<0.0001";
    return value.toFixed(1 - Math.floor(Math.log10(value)));
  };
  const money = (value) => {
    const text = amount(value);
    return text.startsWith("<") ? `<$${text.slice(1)}` : `$${text}`;
  };

  const cost = (rung, at) => {
    const perSecond = at.price / 3600;
    const request = rung.tokens ?? (perSecond * rung.seconds) / data.utilisation;
    const upkeep = data.revalidations * data.examples * request;
    const monthly = at.volume * request + upkeep;
    return { thousand: 1000 * request, total: perSecond * rung.build + at.horizon * monthly };
  };

  // The verdict at a bar, with the ceiling on the price of a request, and what the audit rows said.
  const judged = (rung, place, spent) => {
    const over = data.ceiling !== null && spent.thousand > data.ceiling;
    return over ? "F" : rung.verdicts[place];
  };

  const chosen = () => {
    const at = {};
    for (const [name, slider] of Object.entries(data.sliders)) {
      at[name] = slider.values[Number(part(name).value)];
    }
    return at;
  };

  const command = (at) => {
    const flags = Object.entries(data.sliders)
      .filter(([name, slider]) => at[name] !== slider.values[slider.own])
      .map(([name, slider]) => ` -s ${slider.key}=${at[name]}`);
    return `freehold report ${data.climb}${flags.join("")}`;
  };

  const row = (cells, isBest) => {
    const made = document.createElement("tr");
    if (isBest) made.className = "best";
    cells.forEach(([text, kind], index) => {
      const cell = document.createElement(index ? "td" : "th");
      if (!index) cell.scope = "row";
      if (kind) cell.className = kind;
      cell.textContent = text;
      made.append(cell);
    });
    return made;
  };

  const sentence = (best, rows, barText) => {
    if (best) {
      const facts = [`${best.rung.low} ≥ ${barText}`, ...best.rung.facts];
      if (data.ceiling !== null) {
        facts.push(`${money(best.spent.thousand)}/1k ≤ ${money(data.ceiling)}/1k`);
      }
      return `★ ${best.rung.name} is the cheapest rung that meets the bar: ${facts.join(", ")}`;
    }
    const open = rows.some((one) => one.letter === "U");
    const claim = open ? "No rung is shown to meet the bar" : "No rung meets the bar";
    return `${claim}: the best is ${data.best} against ${barText}`;
  };

  const note = (best, contradicted, at) => {
    if (contradicted) {
      return `${data.audit.rung} passed on the test examples, but the audit contradicts it.`;
    }
    if (!best) return "";
    const parts = [];
    if (data.recommended && best.rung.name !== data.recommended) {
      parts.push(`${data.climb} itself recommends ${data.recommended}.`);
    }
    if (data.audit.rows && best.rung.name !== data.audit.rung) {
      const flags = command(at).split(" ").slice(3).join(" ");
      parts.push(
        `${best.rung.name} was not scored on the audit rows; freehold climb ${flags} does that.`,
      );
    }
    return parts.join(" ");
  };

  const draw = () => {
    const at = chosen();
    const place = Number(part("bar").value);
    const rows = data.rungs.map((rung) => {
      const spent = cost(rung, at);
      return { rung, spent, letter: judged(rung, place, spent) };
    });
    let best = null;
    for (const one of rows) {
      if (one.letter === "P" && (!best || one.spent.total < best.spent.total)) best = one;
    }
    const isOpen = data.audit.verdicts[place] === "n";
    const contradicted = Boolean(isOpen && best && best.rung.name === data.audit.rung);
    for (const one of rows) {
      if (isOpen && one.letter === "P" && one.rung.name === data.audit.rung) one.letter = "U";
    }
    if (contradicted) best = null;
    for (const [name, slider] of Object.entries(data.sliders)) {
      const text = slider.texts[Number(part(name).value)];
      part(name).setAttribute("aria-valuetext", text);
      part(`${name}-value`).textContent = text;
    }
    const barText = data.sliders.bar.texts[place];
    const said = note(best, contradicted, at);
    part("sentence").textContent = contradicted ? said : sentence(best, rows, barText);
    part("note").textContent = contradicted ? "" : said;
    part("rows").replaceChildren(
      ...rows.map((one) =>
        row(
          [
            [one.rung.name, ""],
            [one === best ? "★ PASS" : words[one.letter], one === best ? "nw t-accent" : roles[one.letter]],
            [money(one.spent.thousand), "r"],
            [money(one.spent.total), "r"],
          ],
          one === best,
        ),
      ),
    );
    part("command").textContent = command(at);
  };

  const reset = () => {
    for (const [name, slider] of Object.entries(data.sliders)) part(name).value = slider.own;
    draw();
  };

  for (const name of Object.keys(data.sliders)) part(name).addEventListener("input", draw);
  part("reset").addEventListener("click", reset);
  part("controls").hidden = false;
  reset();
})();
