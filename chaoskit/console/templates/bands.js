(() => {
  "use strict";
  // Locust's charts keep their instances in React's state; where a later Locust keeps them elsewhere, there are no bands.
  const colours = { fault: "#b3438b", alert: "#d8453d" };
  const words = { fault: "in force", alert: "firing" };
  let run = null;

  function charts() {
    const found = new Set();
    for (const node of document.querySelectorAll("[_echarts_instance_]")) {
      const key = Object.keys(node).find((name) => name.startsWith("__reactFiber$"));
      for (let fiber = node[key], up = 0; fiber && up < 4; fiber = fiber.return, up++)
        for (const side of [fiber, fiber.alternate])
          for (let hook = side && side.memoizedState; hook && typeof hook === "object"; hook = hook.next)
            if (hook.memoizedState && typeof hook.memoizedState.getOption === "function") found.add(hook.memoizedState);
    }
    return [...found].filter((chart) => !chart.isDisposed());
  }

  function draw(chart, bands) {
    const own = (chart.getOption().series || []).filter((one) => one.yAxisIndex !== 1);
    const ours = bands.map((one, number) => ({
      name: `${words[one.kind]}: ${one.name}`, id: `chaos ${number}`, type: "line", yAxisIndex: 1, silent: true,
      symbol: "none", tooltip: { show: false }, itemStyle: { color: colours[one.kind] }, lineStyle: { width: 0 },
      areaStyle: { color: colours[one.kind], opacity: one.kind === "fault" ? 0.16 : 0.3 },
      data: [[one.from * 1000, 1], [one.to * 1000, 1]],
    }));
    const second = [{}, { type: "value", min: 0, max: 1, show: false }];
    chart.setOption({ yAxis: second, series: [...own, ...ours] }, { replaceMerge: ["series"] });
  }

  function legend(bands) {
    let strip = document.getElementById("chaos-bands");
    if (!strip) {
      strip = document.createElement("aside");
      strip.id = "chaos-bands";
      strip.setAttribute("aria-label", "bands in the charts");
      strip.style.cssText = "position:fixed;left:0;right:90px;bottom:0;z-index:9;padding:4px 12px;max-height:20vh;overflow:auto;background:#10131ae8;color:#fff;font:13px/1.5 system-ui,sans-serif;display:flex;flex-wrap:wrap;gap:2px 16px";
      document.body.append(strip);
      document.body.style.paddingBottom = "48px";
    }
    const time = (s) => new Date(s * 1000).toLocaleTimeString();
    const link = Object.assign(document.createElement("a"), { href: "/", textContent: "chaoskit's page" });
    link.style.color = "#9cc2ff";
    strip.replaceChildren(link, ...bands.map((one) => {
      const item = document.createElement("span"), sign = document.createElement("i");
      sign.style.cssText = `display:inline-block;width:16px;height:10px;margin-right:5px;background:${colours[one.kind]}`;
      item.append(sign, `${words[one.kind]}: ${one.name}, ${time(one.from)} to ${time(one.to)}`);
      return item;
    }));
  }

  async function renew() {
    try {
      const told = await (await fetch("/bands.json")).json();
      if (run !== null && told.run !== run) { location.reload(); return; }
      run = told.run;
      legend(told.bands);
      for (const chart of charts()) {
        const now = JSON.stringify([chart.id, told.bands.map((one) => [one.kind, one.from, one.to])]);
        if (chart.chaosDrawn !== now) { draw(chart, told.bands); chart.chaosDrawn = now; }
      }
    } catch (error) {
      // the console is away, or this is a Locust that is not known: its page works without bands
    }
  }
  setInterval(renew, 1000);
  renew();
})();
