"use strict";
(() => {
  const DASH = "–";
  const MINUS = "−";
  const PERCENT = "\u00a0%";
  document.documentElement.classList.add("script");

  // Halves go away from zero and thousands are set apart, as in the rest of the report.
  const fixed = (number, digits) => {
    const [whole, part] = Math.abs(number).toFixed(digits).split(".");
    const apart = whole.replace(/\B(?=(\d{3})+$)/g, ",");
    const text = part === undefined ? apart : `${apart}.${part}`;
    return number < 0 && /[1-9]/.test(text) ? MINUS + text : text;
  };
  const percent = (share) => {
    // As many decimals as keep a share near 0 or 1 from rounding there.
    const rest = share === 0 || share === 1 ? 1 : Math.min(share, Math.abs(1 - share));
    return fixed(100 * share, rest >= 0.0005 ? 1 : rest >= 0.00005 ? 2 : 3) + PERCENT;
  };
  const ratio = (x) => fixed(x, x >= 100 ? 0 : x >= 10 ? 1 : x >= 1 ? 2 : 3);
  const three = (x) => fixed(x, 3);
  const per1000 = (share) => fixed(1000 * share, 1000 * share >= 9.95 ? 0 : 1);
  const thresholdWords = (t) => fixed(t, (t >= 0.001 && t <= 0.999) || t === 0 || t === 1 ? 4 : 7);
  const said = (number, words) => (number === null ? DASH : words(number));

  const at = (data, i, j) => {
    const t = data.threshold[i];
    const p = data.prevalence[j];
    const tp = data.tp[i];
    const fp = data.fp[i];
    const fn = data.present - tp;
    const tn = data.absent - fp;
    const sens = data.present ? tp / data.present : null;
    const spec = data.absent ? tn / data.absent : null;
    const both = sens !== null && spec !== null;
    const hit = both ? sens * p : null;
    const wrong = both ? (1 - spec) * (1 - p) : null;
    const missed = both ? (1 - sens) * p : null;
    const cleared = both ? spec * (1 - p) : null;
    const words = {
      threshold: thresholdWords(t),
      prevalence: data.prevalence_words[j],
      tp: fixed(tp, 0),
      fn: fixed(fn, 0),
      fp: fixed(fp, 0),
      tn: fixed(tn, 0),
      present: fixed(data.present, 0),
      absent: fixed(data.absent, 0),
      sensitivity: said(sens, percent),
      specificity: said(spec, percent),
      ppv: said(both && hit + wrong > 0 ? hit / (hit + wrong) : null, percent),
      npv: said(both && cleared + missed > 0 ? cleared / (cleared + missed) : null, percent),
      lr_positive: said(both && fp > 0 ? sens / (1 - spec) : null, ratio),
      lr_negative: said(both && tn > 0 ? (1 - sens) / spec : null, ratio),
      net_benefit: said(both && t < 1 ? hit - (wrong * t) / (1 - t) : null, three),
      net_benefit_all: said(t < 1 ? p - ((1 - p) * t) / (1 - t) : null, three),
      tp_1000: said(hit, per1000),
      fn_1000: said(missed, per1000),
      fp_1000: said(wrong, per1000),
      tn_1000: said(cleared, per1000),
    };
    words.sentence = data.sentence.replace(/\{(\w+)\}/g, (_, name) => words[name]);
    return words;
  };

  for (const panel of document.querySelectorAll(".panel")) {
    const data = JSON.parse(panel.querySelector("script").textContent);
    const threshold = panel.querySelector("[data-threshold]");
    const prevalence = panel.querySelector("[data-prevalence]");
    const dot = panel.querySelector("[data-dot]");
    const cut = panel.querySelector("[data-cut]");
    const jumps = [...panel.querySelectorAll("[data-jump]")];
    const observed = panel.querySelector("[data-observed]");

    const show = () => {
      const i = Number(threshold.value);
      const j = Number(prevalence.value);
      const words = at(data, i, j);
      for (const place of panel.querySelectorAll("[data-say]")) {
        const text = words[place.dataset.say];
        if (place.textContent !== text) place.textContent = text;
      }
      threshold.setAttribute("aria-valuetext", words.threshold);
      prevalence.setAttribute("aria-valuetext", words.prevalence);
      for (const jump of jumps) {
        jump.setAttribute("aria-pressed", String(Number(jump.dataset.jump) === i));
      }
      if (observed) observed.setAttribute("aria-pressed", String(j === data.observed));
      cut.setAttribute("d", `M${(data.side * data.threshold[i]).toFixed(2)} -4V${data.side + 4}`);
      if (dot) {
        dot.setAttribute("cx", ((data.side * data.fp[i]) / data.absent).toFixed(1));
        dot.setAttribute("cy", (data.side - (data.side * data.tp[i]) / data.present).toFixed(1));
      }
    };

    threshold.addEventListener("input", show);
    prevalence.addEventListener("input", show);
    for (const jump of jumps) {
      jump.addEventListener("click", () => {
        threshold.value = jump.dataset.jump;
        show();
      });
    }
    if (observed) {
      observed.addEventListener("click", () => {
        prevalence.value = data.observed;
        show();
      });
    }
    // A browser may have kept where the sliders stood before a reload.
    show();
  }

  const chooser = document.getElementById("finding");
  if (chooser) {
    const chapters = [...document.querySelectorAll("article")];
    const choose = () => {
      for (const chapter of chapters) chapter.hidden = chapter.id !== chooser.value;
    };
    chooser.addEventListener("change", choose);
    choose();
  }
})();
