// The pages' script: live video from a WebSocket into a media source, single pictures where that does not work, and the
// age of what is shown. A picture that is not live never looks as if it were.
"use strict";

(() => {
  const STALE_S = 5; // without data for so long
  const OLD_S = 10; // or a picture older than this
  const FAR_S = 1.5; // behind the newest picture: jump
  const NEAR_S = 0.3;
  const KEEP_S = 30; // of what was played
  const MAX_WAITING = 600; // pieces that the player has not taken
  const POLL_MS = 2000;
  const RETRY_MAX_MS = 10000;
  const FAILURES = 2; // connections without a picture, before single pictures are shown

  // -- clips -------------------------------------------------------------------------------

  for (const clip of document.querySelectorAll("video[data-view]")) {
    const said = clip.parentElement.querySelector(".said");
    const words = clip.closest(".pieces").dataset;
    const failed = () => {
      if (clip.dataset.tried) {
        said.textContent = words.unplayable;
        return;
      }
      clip.dataset.tried = "yes";
      clip.src = clip.dataset.view;
      said.textContent = words.copyShown;
    };
    clip.addEventListener("error", failed);
    if (clip.error) failed(); // it could not be played before this ran
  }

  const stage = document.getElementById("stage");
  if (!stage) return;

  // -- a camera ----------------------------------------------------------------------------

  const by = (id) => document.getElementById(id);
  const video = by("video");
  const still = by("still");
  const cover = by("cover");
  const words = stage.dataset;
  const address = (end, more) => `${words.path}/${end}?${words.query}${more || ""}`;

  let mode = "mp4";
  let ended = false; // refused or closing: nothing is tried again by itself
  let why = words.connecting;
  let offsetMs = 0; // the server's clock less ours
  let dataAt = 0; // performance.now() of the last data
  let failures = 0;
  let pauseMs = 500;
  let socket = null;
  let timer = 0;
  let player = null;
  let tag = "";
  let tagAt = 0;
  let stillMs = 0;
  let notedAt = 0;

  const nowMs = () => Date.now() + offsetMs;
  // The city's time, as on the other pages; Swedish writes it as ISO 8601 does.
  const city = new Intl.DateTimeFormat("sv-SE", { timeZone: words.zone, dateStyle: "short", timeStyle: "medium" });
  const clockWords = (ms) => city.format(new Date(ms));

  function mark(id, shown, text) {
    const place = by(id);
    place.hidden = !shown;
    place.textContent = shown ? text : "";
  }

  function note(text) {
    by("note").textContent = text;
    notedAt = performance.now();
  }

  // What comes over the WebSocket goes into one media source, one piece after the other; in `sequence` mode the pieces
  // follow each other whatever their own times are, so a gap or a camera that begins anew does not stop the player.
  class Player {
    constructor(codec) {
      this.codec = codec;
      this.waiting = [];
      this.marks = []; // where in the player's time which picture is: [seconds, camera's time in ms]
      this.buffer = null;
      this.broken = false;
      this.over = false; // dropped: its source and buffer may not be asked any more
      this.source = new MediaSource();
      this.address = URL.createObjectURL(this.source);
      this.source.addEventListener("sourceopen", () => this.opened(), { once: true });
      video.src = this.address;
    }

    opened() {
      if (this.over) return;
      try {
        this.buffer = this.source.addSourceBuffer(`video/mp4; codecs="${this.codec}"`);
        this.buffer.mode = "sequence";
      } catch {
        this.broken = true;
        return;
      }
      this.buffer.addEventListener("updateend", () => this.taken());
      this.buffer.addEventListener("error", () => { this.broken = true; });
      this.push();
    }

    add(piece) {
      this.waiting.push(piece);
      if (this.waiting.length > MAX_WAITING) this.broken = true;
      this.push();
    }

    end() {
      const ranges = this.buffer.buffered;
      return ranges.length ? ranges.end(ranges.length - 1) : 0;
    }

    push() {
      if (this.over || this.broken || !this.buffer || this.buffer.updating || !this.waiting.length) return;
      const piece = this.waiting[0];
      try {
        if (piece.codec && piece.codec !== this.codec) {
          this.buffer.changeType(`video/mp4; codecs="${piece.codec}"`);
          this.buffer.mode = "sequence";
          this.codec = piece.codec;
        }
        const at = this.end();
        this.buffer.appendBuffer(piece.data);
        this.waiting.shift();
        if (piece.timeMs) this.marks.push([at, piece.timeMs]);
      } catch (error) {
        if (error.name === "QuotaExceededError" && video.currentTime > 1) {
          this.buffer.remove(0, video.currentTime - 0.5);
        } else {
          this.broken = true;
        }
      }
    }

    taken() {
      if (this.over || this.source.readyState !== "open") return;
      const end = this.end();
      if (end && video.paused && !video.ended) video.play().catch(() => {});
      if (end - video.currentTime > FAR_S) video.currentTime = end - NEAR_S;
      const old = video.currentTime - KEEP_S;
      if (old > 10 && !this.buffer.updating && this.buffer.buffered.start(0) < old - 10) {
        this.buffer.remove(0, old);
        this.marks = this.marks.filter((one, i) => i + 1 === this.marks.length || this.marks[i + 1][0] > old);
        return;
      }
      this.push();
    }

    // When the picture that is on the screen was taken, by the server's clock; 0 unknown. Never younger than it is: within
    // a piece time goes on only as far as the next piece says.
    pictureMs() {
      const at = video.currentTime + 0.05;
      const after = this.marks.findIndex((one) => one[0] > at);
      const found = this.marks[(after < 0 ? this.marks.length : after) - 1];
      if (!found || video.readyState < 2) return 0;
      return after < 0 ? found[1] : Math.min(found[1] + (video.currentTime - found[0]) * 1000, this.marks[after][1]);
    }

    drop() {
      this.over = true;
      video.removeAttribute("src");
      video.load();
      URL.revokeObjectURL(this.address);
    }
  }

  function dropPlayer() {
    if (player) player.drop();
    player = null;
  }

  function connect() {
    clearTimeout(timer);
    if (ended || mode !== "mp4") return;
    let head = null;
    let pieces = 0;
    const mine = new WebSocket(`ws://${location.host}${address("live")}`);
    socket = mine;
    mine.binaryType = "arraybuffer";
    mine.onmessage = (event) => {
      if (socket !== mine) return;
      if (typeof event.data === "string") {
        head = JSON.parse(event.data);
        if (head.now_ms) offsetMs = head.now_ms - Date.now();
        if (head.t === "init" && !canPlay(head.codec)) toStills();
        else if (head.t === "told") told(head);
        else if (head.t === "refused") refuse(head.message);
        else if (head.t === "busy") why = head.message;
        return;
      }
      if (head.t === "init") {
        if (!player || player.broken) {
          dropPlayer();
          player = new Player(head.codec);
        }
        mark("mark", head.transcoded, words.transcoded);
        player.add({ data: event.data, codec: head.codec, timeMs: 0 });
        return;
      }
      pieces += 1;
      failures = 0;
      pauseMs = 500;
      dataAt = performance.now();
      why = "";
      if (!player) return;
      player.add({ data: event.data, timeMs: head.time_ms });
      if (player.broken) {
        failures = FAILURES;
        mine.close();
      }
    };
    mine.onclose = () => {
      if (socket !== mine) return;
      socket = null;
      dropPlayer();
      if (ended || mode !== "mp4") return;
      if (!pieces) failures += 1;
      if (failures >= FAILURES) {
        toStills();
        return;
      }
      if (!why) why = words.lost;
      timer = setTimeout(connect, pauseMs);
      pauseMs = Math.min(pauseMs * 2, RETRY_MAX_MS);
    };
  }

  const canPlay = (codec) => window.MediaSource && MediaSource.isTypeSupported(`video/mp4; codecs="${codec}"`);

  function told(head) {
    if (head.what === "skipped") note(words.behind);
    if (head.what === "ended") {
      dropPlayer();
      why = `${words.ended} ${head.detail}`;
    }
    if (head.what === "closed") why = words.closed;
  }

  function refuse(message) {
    ended = true;
    why = message ? `${words.refused} ${message}` : words.refused.replace(/[:：]$/, "");
    leave();
  }

  function leave() {
    clearTimeout(timer);
    const mine = socket;
    socket = null;
    if (mine) mine.close();
    dropPlayer();
    still.removeAttribute("src");
    still.hidden = true;
    stillMs = 0;
    tag = "";
    mark("mark", false, "");
  }

  // -- single pictures ---------------------------------------------------------------------

  function toStills() {
    leave();
    mode = "jpeg";
    why = words.connecting;
    stills();
  }

  function stills() {
    clearTimeout(timer);
    if (ended || mode !== "jpeg") return;
    tag = Array.from(crypto.getRandomValues(new Uint8Array(8)), (one) => one.toString(16).padStart(2, "0")).join("");
    tagAt = performance.now();
    still.hidden = false;
    video.hidden = true;
    mark("mode", true, words.still);
    still.src = address("mjpeg", `&tag=${tag}`);
  }

  still.addEventListener("error", () => {
    if (ended || mode !== "jpeg") return;
    clearTimeout(timer);
    why = words.lost;
    timer = setTimeout(stills, POLL_MS);
  });

  // -- state and age -----------------------------------------------------------------------

  async function poll() {
    const asked = tag;
    try {
      const answer = await fetch(address("state", asked ? `&tag=${asked}` : ""), { cache: "no-store" });
      if (answer.status === 401) {
        location.reload();
        return;
      }
      const found = await answer.json();
      if (answer.ok) {
        offsetMs = found.now_ms - Date.now();
        by("state").textContent = found.words;
        by("state").className = `state ${found.state}`;
        if (found.may === false && !ended) refuse("");
        if (mode === "jpeg" && asked === tag && !ended) shown(found);
      } else if (answer.status === 403 && !ended) {
        refuse(found.message);
      }
    } catch {
      by("state").textContent = "?";
      by("state").className = "state offline";
    }
    setTimeout(poll, POLL_MS);
  }

  function shown(found) {
    if (found.picture_ms > stillMs) dataAt = performance.now();
    stillMs = found.picture_ms;
    mark("mark", stillMs && found.transcoded, words.transcoded);
    if (stillMs) why = "";
    if (found.why) why = `${words.ended} ${found.why}`;
    if (!found.connected && performance.now() - tagAt > 2 * POLL_MS) stills();
  }

  function look() {
    const pictureMs = mode === "jpeg" ? stillMs : player ? player.pictureMs() : 0;
    const ageS = pictureMs ? Math.max(0, (nowMs() - pictureMs) / 1000) : 0;
    const quietS = (performance.now() - dataAt) / 1000;
    const allowedS = mode === "jpeg" ? STALE_S + POLL_MS / 1000 : STALE_S;
    const stale = pictureMs > 0 && (quietS > allowedS || ageS > OLD_S);
    const bare = !pictureMs;
    stage.classList.toggle("stale", stale || ended);
    stage.classList.toggle("bare", bare);
    cover.hidden = !(stale || bare || ended);
    const lines = [];
    if (stale) lines.push(`${words.stale} ${clockWords(pictureMs)}`);
    if (why) lines.push(why);
    if (!lines.length && bare) lines.push(words.noPicture);
    const said = lines.join("\n");
    if (cover.textContent !== said) cover.textContent = said;
    by("age").textContent = pictureMs ? words.age.replace("{n}", ageS < 10 ? ageS.toFixed(1) : ageS.toFixed(0)) : "";
    by("clock").textContent = pictureMs ? clockWords(pictureMs) : "";
    stage.dataset.ageS = pictureMs ? ageS.toFixed(2) : "";
    stage.dataset.mode = mode;
    if (notedAt && performance.now() - notedAt > 6000) {
      note("");
      notedAt = 0;
    }
    if (player && player.broken && socket) socket.close();
  }

  by("again").addEventListener("click", () => {
    leave();
    ended = false;
    failures = 0;
    pauseMs = 500;
    mode = "mp4";
    why = words.connecting;
    video.hidden = false;
    mark("mode", false, "");
    begin();
  });
  by("full").addEventListener("click", () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else stage.requestFullscreen().catch(() => {});
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && player && player.buffer && player.source.readyState === "open" && player.end()) video.currentTime = Math.max(0, player.end() - NEAR_S);
  });

  function begin() {
    if (window.MediaSource && window.WebSocket) connect();
    else toStills();
  }

  setInterval(look, 200);
  poll();
  begin();
})();
