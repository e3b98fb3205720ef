// Stands at the end of a page that is tested, and writes down what the browser made of it.
addEventListener("load", () => {
  const all = {};
  for (const selector of ASKED) {
    all[selector] = [...document.querySelectorAll(selector)].map((e) => {
      const box = e.getBoundingClientRect();
      const style = getComputedStyle(e);
      const text = e.querySelector(":scope > text");
      return {
        ...e.dataset,
        class: e.getAttribute("class"),
        text: e.textContent,
        target: document.getElementById((e.getAttribute("href") ?? "").slice(1)) !== null,
        x: box.x,
        y: box.y,
        width: box.width,
        height: box.height,
        label: text ? text.getBoundingClientRect().width : 0,
        fill: style.fill,
        background: style.backgroundColor,
        color: style.color,
      };
    });
  }
  const root = document.documentElement;
  all.page = { width: root.clientWidth, content: root.scrollWidth, height: root.scrollHeight };
  all.errors = FAULTS;
  const out = document.createElement("pre");
  out.id = "probe";
  out.textContent = JSON.stringify(all);
  document.body.append(out);
});
