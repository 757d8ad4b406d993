"use strict";
(() => {
  const data = JSON.parse(document.getElementById("trials-data").textContent);
  const tip = document.getElementById("tip");

  const element = (name, text) => {
    const made = document.createElement(name);
    made.textContent = text;
    return made;
  };

  const list = (pairs) => {
    const made = document.createElement("dl");
    for (const [name, text] of pairs) made.append(element("dt", name), element("dd", text));
    return made;
  };

  // What is told of a trial: its figures, then its plan, one line a layer.
  const told = (point) => {
    const number = point.dataset.t;
    const figures = data.figures[number];
    if (!figures) return [element("b", point.querySelector("title").textContent)];
    const parts = [element("b", "trial " + number), list(data.labels.map((label, index) => [label, figures[index]]).filter((pair) => pair[1]))];
    const plan = data.plans[number];
    if (plan) {
      const layers = new Map();
      data.columns.forEach(([layer, role], index) => {
        if (plan[index] < 0) return;
        const chosen = data.choices[plan[index]];
        const text = role === "filters" ? chosen + " filters" : role === "kernel" ? chosen : role + " " + chosen;
        layers.set(layer, layers.has(layer) ? layers.get(layer) + ", " + text : text);
      });
      const shown = list(layers);
      shown.className = "plan";
      parts.push(shown);
    }
    return parts;
  };

  let shown = null;
  const hide = () => {
    if (shown) shown.classList.remove("shown");
    shown = null;
    tip.hidden = true;
  };
  const show = (point) => {
    if (shown === point) return;
    hide();
    shown = point;
    point.classList.add("shown");
    tip.replaceChildren(...told(point));
    tip.hidden = false;
    const place = point.getBoundingClientRect();
    const width = tip.offsetWidth, height = tip.offsetHeight, room = document.documentElement.clientWidth;
    const left = Math.min(Math.max(place.left + place.width / 2 - width / 2, 8), Math.max(room - width - 8, 8));
    const above = place.top - height - 12;
    const top = above > 8 ? above : place.bottom + 12;
    tip.style.left = left + window.scrollX + "px";
    tip.style.top = top + window.scrollY + "px";
  };

  for (const chart of document.querySelectorAll("svg.chart")) {
    const points = [...chart.querySelectorAll(".pt[data-t]")];
    if (!points.length) continue;
    const place = (point) => parseFloat(point.getAttribute("transform").slice(10));
    const visible = () => points.filter((point) => !point.classList.contains("off")).sort((a, b) => place(a) - place(b));
    const frame = chart.parentElement; // an svg that listens to focus would be a stop of its own
    const start = points.find((point) => point.classList.contains("best")) || points[0];
    points.forEach((point) => point.setAttribute("tabindex", point === start ? "0" : "-1"));
    frame.addEventListener("pointerover", (event) => {
      const point = event.target.closest(".pt[data-t]");
      if (point) show(point);
    });
    frame.addEventListener("pointerout", (event) => {
      if (event.target.closest(".pt[data-t]") && document.activeElement !== shown) hide();
    });
    frame.addEventListener("focusin", (event) => {
      const point = event.target.closest(".pt[data-t]");
      if (!point) return;
      points.forEach((other) => other.setAttribute("tabindex", other === point ? "0" : "-1"));
      show(point);
    });
    frame.addEventListener("focusout", hide);
    frame.addEventListener("click", (event) => {
      const point = event.target.closest(".pt[data-t]");
      if (point) point.focus();
    });
    frame.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
      const all = visible();
      const now = all.indexOf(document.activeElement);
      const next = step && now >= 0 ? all[now + step] : event.key === "Home" ? all[0] : event.key === "End" ? all.at(-1) : null;
      if (!next) return;
      event.preventDefault();
      next.focus();
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
  });

  // Another axis: what belongs to it is shown, and points go to their places on it.
  for (const group of document.querySelectorAll("fieldset.switch")) {
    const chart = document.getElementById(group.dataset.for);
    group.hidden = false;
    group.addEventListener("change", (event) => {
      hide();
      const axis = Number(event.target.value);
      for (const part of chart.querySelectorAll("[data-axis]")) part.classList.toggle("off", Number(part.dataset.axis) !== axis);
      for (const point of chart.querySelectorAll("[data-x]")) {
        const x = point.dataset.x.split("|")[axis];
        const y = point.getAttribute("transform").split(/[ )]/)[1];
        point.classList.toggle("off", x === "");
        if (x !== "") point.setAttribute("transform", "translate(" + x + " " + y + ")");
      }
    });
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = element("button", head.textContent);
      button.type = "button";
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") === "descending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const key = (row) => {
          const cell = row.cells[column];
          const text = cell.dataset.v === undefined ? cell.textContent : cell.dataset.v;
          return text === "" || isNaN(text) ? text : Number(text);
        };
        const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0) * (up ? 1 : -1);
        const rows = [...table.tBodies[0].rows].sort((a, b) => order(key(a), key(b)));
        table.tBodies[0].append(...rows);
      });
    });
  }

  for (const box of document.querySelectorAll(".copied")) {
    const button = element("button", "Copy");
    button.type = "button";
    button.className = "copy";
    button.addEventListener("click", async () => {
      const text = box.querySelector("pre").textContent;
      try {
        await navigator.clipboard.writeText(text);
      } catch {
        const area = element("textarea", text);
        document.body.append(area);
        area.select();
        document.execCommand("copy");
        area.remove();
      }
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
    box.append(button);
  }
})();
