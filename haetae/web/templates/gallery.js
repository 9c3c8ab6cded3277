(() => {
  const FAR_S = 0.15;
  const APART_S = 0.012;
  const TOGETHER_S = 0.003;
  const players = [];

  /* Two media that run as one: the heard one leads, the other follows it. */
  class Player {
    constructor(root) {
      this.root = root;
      this.media = Array.from(root.querySelectorAll(".medium"));
      this.fake = root.querySelector(".medium[data-role=fake]");
      this.target = root.querySelector(".medium[data-role=target]");
      const told = JSON.parse(root.querySelector(".frames").textContent);
      this.fps = told.fps;
      this.masks = told.masks;
      this.boxes = told.boxes;
      this.lasts = Number(root.dataset.duration);
      this.rate = 1;
      this.lead = this.fake || this.target;
      this.parts = {
        controls: root.querySelector(".controls"), play: root.querySelector(".play"),
        seek: root.querySelector(".seek"), time: root.querySelector(".time"),
        head: root.querySelector(".head"), track: root.querySelector(".track"),
        sound: root.querySelector(".sound"), mask: root.querySelector("path.mask"),
        boxes: root.querySelectorAll("path.boxes"),
      };
      this.words = Array.from(root.querySelectorAll(".says span")).map((word) => ({
        word, from: Number(word.dataset.from), to: Number(word.dataset.to),
      }));
      this.chips = Array.from(root.querySelectorAll(".now li")).map((chip) => ({
        chip, spans: JSON.parse(chip.dataset.spans),
      }));
      this.wire();
    }

    get paused() { return !this.lead || this.lead.paused; }

    wire() {
      const { parts } = this;
      parts.controls.hidden = false;
      for (const medium of this.media) {
        medium.controls = false;
        medium.addEventListener("ended", () => this.end());
        medium.addEventListener("seeked", () => this.draw(medium));
        medium.addEventListener("loadedmetadata", () => this.draw(medium));
      }
      if (this.fake && this.fake.requestVideoFrameCallback) this.watch();
      parts.play.addEventListener("click", () => this.toggle());
      this.root.querySelector(".back").addEventListener("click", () => this.step(-1));
      this.root.querySelector(".on").addEventListener("click", () => this.step(1));
      parts.seek.addEventListener("input", () => this.seek(Number(parts.seek.value)));
      parts.sound.addEventListener("change", () => this.hear(parts.sound.value));
      this.root.querySelector(".speed").addEventListener("change", (event) => this.pace(Number(event.target.value)));
      this.root.querySelector(".timeline").addEventListener("pointerdown", (event) => this.point(event));
      this.root.addEventListener("keydown", (event) => this.key(event));
      this.hear("fake");
    }

    watch() {
      this.fake.requestVideoFrameCallback((_, shown) => {
        this.over(Math.floor(shown.mediaTime * this.fps + 0.5));
        this.watch();
      });
    }

    /* Nothing is fetched before it can be seen; then the first changed moment is shown. */
    wake() {
      if (this.awake) return;
      this.awake = true;
      for (const medium of this.media) medium.preload = "auto";
      const first = Math.min(...this.chips.flatMap(({ spans }) => spans.map(([from, to]) => (from + to) / 2)));
      this.seek(Number.isFinite(first) ? first : 0);
    }

    hear(which) {
      this.parts.sound.value = which;
      const was = this.lead;
      this.lead = (which === "target" ? this.target : this.fake) || this.fake || this.target;
      for (const medium of this.media) {
        medium.muted = which === "none" || medium !== this.lead;
        medium.playbackRate = this.rate;
      }
      if (was && was !== this.lead && !was.paused) this.follow();
    }

    pace(rate) {
      this.rate = rate;
      for (const medium of this.media) medium.playbackRate = rate;
    }

    /* To the middle of the frame that is shown at this moment: its edges are ambiguous. */
    seek(at) {
      const last = Math.max(0, Math.ceil(this.lasts * this.fps - 0.01) - 1);
      const frame = Math.min(last, Math.max(0, Math.floor(at * this.fps + 1e-6)));
      for (const medium of this.media) medium.currentTime = (frame + 0.5) / this.fps;
      this.show((frame + 0.5) / this.fps);
    }

    step(frames) {
      this.pause();
      this.seek(this.lead.currentTime + frames / this.fps);
    }

    toggle() { if (this.paused) this.play(); else this.pause(); }

    async play() {
      if (!this.lead) return;
      for (const other of players) if (other !== this) other.pause();
      this.awake = true;
      if (this.lead.ended || this.lead.currentTime >= this.lasts - 1 / this.fps) this.seek(0);
      const at = this.lead.currentTime;
      for (const medium of this.media) if (medium.currentTime !== at) medium.currentTime = at;
      await Promise.all(this.media.map((medium) => this.ready(medium)));
      try {
        await Promise.all(this.media.map((medium) => medium.play()));
      } catch {
        this.pause();
        return;
      }
      this.parts.play.textContent = "Pause";
      this.parts.play.setAttribute("aria-pressed", "true");
      requestAnimationFrame(() => this.run());
    }

    ready(medium) {
      if (medium.readyState >= 3 && !medium.seeking) return null;
      if (medium.preload === "none") medium.preload = "auto";
      return new Promise((done) => {
        medium.addEventListener("canplay", done, { once: true });
        medium.addEventListener("error", done, { once: true });
        if (medium.error) done();
      });
    }

    pause() {
      const running = this.media.some((medium) => !medium.paused);
      for (const medium of this.media) medium.pause();
      this.parts.play.textContent = "Play";
      this.parts.play.setAttribute("aria-pressed", "false");
      if (running) this.seek(this.lead.currentTime);
    }

    end() {
      if (this.root.querySelector(".loop").checked) {
        for (const medium of this.media) medium.pause();
        this.seek(0);
        this.play();
      } else if (this.media.some((medium) => !medium.paused) || this.lead.ended) {
        for (const medium of this.media) medium.pause();
        this.parts.play.textContent = "Play";
        this.parts.play.setAttribute("aria-pressed", "false");
      }
    }

    run() {
      if (this.paused) return;
      this.follow();
      this.show(this.lead.currentTime);
      requestAnimationFrame(() => this.run());
    }

    /* The follower runs a little faster or slower until it is beside the lead; far away, it jumps. Its rate is left
       alone while it is near: each change of it costs the browser a moment. */
    follow() {
      for (const medium of this.media) {
        if (medium === this.lead || medium.seeking) continue;
        const gap = medium.currentTime - this.lead.currentTime;
        const pulled = medium.playbackRate !== this.rate;
        if (Math.abs(gap) > FAR_S) medium.currentTime = this.lead.currentTime;
        const enough = Math.abs(gap) < (pulled ? TOGETHER_S : APART_S);
        const rate = this.rate * (1 + (enough ? 0 : Math.max(-0.3, Math.min(0.3, -4 * gap))));
        if (medium.playbackRate !== rate) medium.playbackRate = rate;
      }
    }

    draw(medium) {
      if (medium === this.lead) this.show(medium.currentTime);
      if (medium === this.fake) this.over(Math.floor(medium.currentTime * this.fps));
    }

    over(frame) {
      if (!this.parts.mask) return;
      this.parts.mask.setAttribute("d", this.masks[frame] || "");
      for (const path of this.parts.boxes) path.setAttribute("d", this.boxes[frame] || "");
      this.root.dataset.frame = frame;
    }

    show(at) {
      const { parts } = this;
      if (document.activeElement !== parts.seek || !this.paused) parts.seek.value = at;
      const frame = Math.floor(at * this.fps + 1e-6);
      parts.time.textContent = `${at.toFixed(2)} s, frame ${frame}`;
      parts.seek.setAttribute("aria-valuetext", `${at.toFixed(2)} seconds`);
      parts.head.style.left = `${this.lasts ? Math.min(100, (100 * at) / this.lasts) : 0}%`;
      for (const { word, from, to } of this.words) word.classList.toggle("spoken", from <= at && at < to);
      for (const { chip, spans } of this.chips) {
        chip.classList.toggle("on", spans.some(([from, to]) => from <= at && at < to));
      }
    }

    point(event) {
      if (event.button !== 0) return;
      const box = this.parts.track.getBoundingClientRect();
      if (event.clientX < box.left) return;
      const to = (x) => this.seek((this.lasts * (x - box.left)) / box.width);
      this.pause();
      to(event.clientX);
      const move = (moved) => to(moved.clientX);
      const stop = () => {
        removeEventListener("pointermove", move);
        removeEventListener("pointerup", stop);
        removeEventListener("pointercancel", stop);
      };
      addEventListener("pointermove", move);
      addEventListener("pointerup", stop);
      addEventListener("pointercancel", stop);
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const own = event.target === this.root;
      const flip = (id) => { const box = document.getElementById(id); box.checked = !box.checked; };
      const sounds = ["fake", "target", "none"];
      const keys = {
        m: () => flip("show-mask"), b: () => flip("show-box"), g: () => flip("show-now"),
        s: () => this.hear(sounds[(sounds.indexOf(this.parts.sound.value) + 1) % 3]),
        ...(own && { " ": () => this.toggle(), arrowleft: () => this.step(-1), arrowright: () => this.step(1) }),
      };
      const act = event.target.tagName === "SELECT" ? null : keys[event.key.toLowerCase()];
      if (!act) return;
      event.preventDefault();
      act();
    }
  }

  const form = document.getElementById("filter");
  const cards = Array.from(document.querySelectorAll("article[data-generator]"));
  const apply = () => {
    const { generator, language, missed } = form.elements;
    let shown = 0;
    for (const card of cards) {
      const fits = (!generator.value || card.dataset.generator === generator.value)
        && (!language.value || card.dataset.language === language.value)
        && (!missed.checked || card.dataset.missed === "yes");
      card.hidden = !fits;
      shown += fits;
      if (!fits) for (const player of players) if (card.contains(player.root) && !player.paused) player.pause();
    }
    document.getElementById("shown").textContent = `${shown} of ${cards.length} shown`;
    document.getElementById("none").hidden = shown > 0;
  };
  form.addEventListener("change", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.reset();

  for (const root of document.querySelectorAll(".player")) {
    if (root.querySelector(".medium")) players.push(new Player(root));
  }
  const seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) players.find((player) => player.root === target).wake();
    }
  }, { rootMargin: "200px" });
  for (const player of players) seen.observe(player.root);
  document.body.dataset.ready = "yes";
})();
