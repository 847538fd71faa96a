(() => {
  "use strict";
  // All players of the page that do not run yet: no ids, so several copies of one player get along.
  const decode = (text) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    return (i) => view.getInt16(2 * i, true);
  };
  // For each frame its points [[x, y], ...], from the packed numbers and the frames' lengths.
  const unpack = (text, lengths) => {
    const at = decode(text);
    let k = 0;
    return lengths.map((n) => Array.from({ length: n }, () => [at(k++), at(k++)]));
  };
  const drawPane = (svg, points) => {
    const put = (selector, attribute, value) => {
      const node = svg.querySelector(selector);
      if (node) node.setAttribute(attribute, value);
    };
    const move = (p) => `translate(${p[0]} ${p[1]})`;
    put(".pu-line", "d", "M" + points.map((p) => p.join(" ")).join("L"));
    put(".pu-dots", "d", points.map((p) => `M${p[0]} ${p[1]}h0`).join(""));
    put(".pu-first", "transform", move(points[0]));
    put(".pu-last", "transform", move(points[points.length - 1]));
    put(".pu-cell", "transform", move(points[points.length - 1]));
  };
  const pickable = (svg, sizes, inputs, show) => {
    const set = (i, j) => {
      [i, j].forEach((value, axis) => {
        inputs[axis].value = Math.max(0, Math.min(sizes[axis] - 1, value));
      });
      show();
    };
    const box = svg.querySelector("svg");
    const pick = (event) => {
      const r = box.getBoundingClientRect();
      const x = (event.clientX - r.left) / r.width, y = 1 - (event.clientY - r.top) / r.height;
      if (x < 0 || x > 1 || y < 0 || y > 1) return;
      set(Math.floor(x * sizes[0]), Math.floor(y * sizes[1]));
    };
    svg.classList.add("pu-pick");
    svg.addEventListener("pointerdown", (event) => {
      svg.setPointerCapture(event.pointerId);
      pick(event);
    });
    svg.addEventListener("pointermove", (event) => { if (event.buttons & 1) pick(event); });
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    svg.addEventListener("keydown", (event) => {
      const step = arrows[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      set(Number(inputs[0].value) + step[0], Number(inputs[1].value) + step[1]);
    });
  };
  const start = (root) => {
    root.dataset.ready = "yes";
    const data = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
    const panes = [...root.querySelectorAll(".pu-pane")];
    const inputs = [...root.querySelectorAll("input[type=range]")];
    const values = [...root.querySelectorAll(".pu-value")];
    const numbers = [...root.querySelectorAll(".pu-readout b")];
    const paths = data.paths.map((text, k) => unpack(text, data.lengths[k]));
    const runs = [...root.querySelectorAll(".pu-run")];
    const scenes = [...root.querySelectorAll(".pu-pane")].map((svg) => [...svg.querySelectorAll(".pu-scene")]);
    const show = () => {
      const chosen = inputs.map((input) => Number(input.value));
      const frame = chosen.reduce((sum, value, axis) => sum * data.sizes[axis] + value, 0);
      inputs.forEach((input, axis) => {
        const text = data.texts[axis][chosen[axis]];
        values[axis].textContent = text;
        input.setAttribute("aria-valuetext", text);
      });
      data.readouts[frame].split("\t").forEach((text, k) => { numbers[k].textContent = text; });
      const step = chosen[chosen.length - 1];
      const upTo = (frames) => data.growing
        ? frames[(frame - step) / data.sizes[chosen.length - 1]].slice(0, step + 1) : frames[frame];
      panes.forEach((svg, k) => drawPane(svg.querySelector(".pu-own") || svg, upTo(paths[k])));
      runs.forEach((run, k) => drawPane(run, upTo(paths[panes.length + k])));
      scenes.forEach((groups) => groups.forEach((group, i) => {
        const shown = Math.floor(chosen[0] * groups.length / data.sizes[0]);
        group.setAttribute("visibility", i === shown ? "visible" : "hidden");
      }));
    };
    const last = inputs[inputs.length - 1];
    inputs.forEach((input) => {
      input.addEventListener("input", () => {
        if (data.rewind !== undefined && input !== last) last.value = data.rewind;
        show();
      });
      // JupyterLab takes the arrow keys for itself where it sees them; Shift-Enter and the like it may have.
      input.addEventListener("keydown", (event) => {
        const jupyters = event.ctrlKey || event.altKey || event.metaKey || (event.shiftKey && event.key === "Enter");
        if (!jupyters) event.stopPropagation();
      });
    });
    if (data.picker >= 0) pickable(panes[data.picker], data.sizes, inputs, show);
    show(); // a browser that comes back to the page keeps the slider where it was
  };
  document.querySelectorAll(".pu-player:not([data-ready])").forEach((root) => {
    if (root.querySelector('script[type="application/json"]')) start(root);
  });
})();
