// Cameras of an episode at one row, and what moves them: a slider, steps and play. All of it moves here, in the browser:
// to have a server change the pictures would draw the whole page anew for every row.
const REST_MS = 200; // after so long without a move the pictures are shown in full
const AHEAD_MS = 700; // after so long at rest other rows are fetched ahead, as long as it rests
const MOST_AHEAD = 600; // rows, spread over the episode
const AT_ONCE = 2; // rows under way: one is decoded while the next is fetched
const TELL_MS = 100; // between two rows that the server is told of

export default {
  template: `
    <div class="w-full flex flex-col gap-2">
      <div v-if="pictures.length" class="grid gap-1 w-full justify-center" :style="columns">
        <figure v-for="(picture, i) in pictures" class="relative w-full" :data-testid="'camera ' + picture.name">
          <img ref="images" class="w-full rounded" draggable="false" :alt="'camera ' + picture.name">
          <div ref="tiles" class="absolute inset-0 rounded" style="visibility: hidden" :style="tile(i)"></div>
          <figcaption class="absolute top-1 left-1 px-2 rounded text-white text-sm" style="background: #0009">
            {{ picture.title }}
          </figcaption>
        </figure>
      </div>
      <div v-else class="text-base p-4">no camera of this episode can be shown</div>
      <div class="w-full flex items-center no-wrap gap-2">
        <q-btn round dense unelevated color="primary" :icon="playing ? 'pause' : 'play_arrow'" data-testid="play"
               aria-label="play or pause, key space" title="play or pause (key space)" @click="toggle" />
        <q-btn round dense flat icon="skip_previous" aria-label="one row back, key arrow left"
               title="one row back (key arrow left)" @click="step(-1)" />
        <q-btn round dense flat icon="skip_next" aria-label="one row on, key arrow right"
               title="one row on (key arrow right)" @click="step(1)" />
        <input ref="slider" type="range" class="grow h-8 cursor-pointer" style="accent-color: var(--q-primary)"
               min="0" :max="Math.max(1, last)" step="1" value="0" data-testid="scrub" aria-label="row of the episode"
               @input="slid" @change="$event.target.blur()">
        <span ref="words" class="text-base tabular-nums whitespace-nowrap w-56 text-right" data-testid="row"></span>
      </div>
    </div>`,

  props: {
    pictures: Array, // of {name, title, address}, with {row} where the row goes
    together: String, // address of one small picture of all, shown while it moves
    ahead: Boolean, // whether rows may be fetched ahead
    last: Number,
    rate: Number, // Hz
    across: Number, // pictures side by side
    down: Number, // and one below another
    first: Number, // row
    high: Number, // share of the window's height that a picture gets, in percent
  },

  data() {
    return { playing: false };
  },

  watch: {
    ahead() {
      if (!this.coming && !this.shown.small) this.rest();
    },
  },

  computed: {
    columns() {
      return { gridTemplateColumns: `repeat(${this.across}, minmax(0, calc(${this.high}vh * 4 / 3)))` };
    },
  },

  created() {
    this.row = this.first;
    this.shown = { row: -1, small: false }; // the last that was asked for
    this.coming = 0; // rows that were asked for and are not shown yet
    this.asked = this.newest = 0;
    this.fetched = new Set(); // rows whose small picture the browser has
    this.moves = 0;
    this.done = 0; // moves of the server's
    this.told = { row: this.first, at: -Infinity };
  },

  mounted() {
    this.show(this.first, false);
  },

  unmounted() {
    this.playing = false;
    this.moves += 1;
    clearTimeout(this.resting);
    clearTimeout(this.telling);
  },

  methods: {
    moved(number, how, by) {
      // by the server, which hears of every row with the number of its last move that this one knew
      this.done = number;
      this.told.row = -1;
      this[how](by); // go or step
    },

    go(row) {
      // to a row, the nearest there is; playing ends
      this.stop();
      this.show(row, false);
    },

    step(rows) {
      this.go(this.row + rows);
    },

    toggle() {
      // play at the recorded rate from here, or from the start where this is the end; or pause
      if (this.playing) return this.stop();
      if (this.row >= this.last) this.show(0, true);
      const [began, from] = [performance.now(), this.row];
      const turn = () => {
        if (!this.playing) return;
        this.show(from + Math.floor(((performance.now() - began) / 1000) * this.rate), true);
        if (this.row >= this.last) this.stop();
        else requestAnimationFrame(turn);
      };
      this.playing = true;
      this.$emit("playing", true);
      requestAnimationFrame(turn);
    },

    stop() {
      if (!this.playing) return;
      this.playing = false;
      this.$emit("playing", false);
      this.tell(true);
    },

    slid(event) {
      this.stop();
      this.show(Number(event.target.value), true);
    },

    show(row, moving) {
      this.moves += 1;
      this.row = Math.min(Math.max(0, row), this.last);
      this.$refs.slider.value = this.row;
      this.tell(!moving);
      this.load(moving);
    },

    tile(i) {
      // the part of the picture of all that is of camera i
      const part = (at, of) => (of > 1 ? (100 * at) / (of - 1) : 0);
      const [column, line] = [i % this.across, Math.floor(i / this.across)];
      return {
        backgroundSize: `${100 * this.across}% ${100 * this.down}%`,
        backgroundPosition: `${part(column, this.across)}% ${part(line, this.down)}%`,
      };
    },

    async load(small) {
      if (this.coming >= AT_ONCE || (this.shown.row === this.row && (small || !this.shown.small))) return;
      clearTimeout(this.resting);
      const row = this.row;
      this.shown = { row, small };
      this.$refs.words.textContent = `row ${row} / ${this.last}   ${(row / this.rate).toFixed(2)} s`;
      const images = this.$refs.images ?? [];
      if (!images.length) return;
      this.coming += 1;
      await (small ? this.loadSmall(row) : this.loadWhole(row, images));
      this.coming -= 1;
      if (this.shown.row !== this.row) this.load(true);
      else if (this.coming) return;
      else if (this.shown.small) this.resting = setTimeout(() => this.load(false), REST_MS);
      else this.rest();
    },

    rest() {
      if (this.ahead) this.resting = setTimeout(() => this.fetchAhead(), AHEAD_MS);
    },

    async fetchAhead() {
      // every 32nd row first, then those between: wherever it moves to next, something near is there
      const [moves, rows] = [this.moves, this.last + 1];
      const most = Math.min(rows, MOST_AHEAD);
      for (let apart = 32; apart >= 1 && this.ahead; apart /= 2) {
        for (let i = 0; i < most; i += apart) {
          const row = Math.floor((i * rows) / most);
          if (this.moves !== moves || document.hidden) return;
          if (this.fetched.has(row)) continue;
          const began = performance.now();
          try {
            await (await fetch(this.together.replace("{row}", row), { priority: "low" })).blob();
          } catch {
            return;
          }
          this.fetched.add(row);
          // half of the time is left to whatever else this computer does
          await new Promise((later) => setTimeout(later, performance.now() - began));
        }
      }
    },

    async loadSmall(row) {
      const [picture, number] = [new Image(), ++this.asked];
      picture.src = this.together.replace("{row}", row);
      try {
        await picture.decode();
        this.fetched.add(row);
      } catch {
        return; // it cannot be had: what stands there stays, and the whole pictures say more
      }
      if (number < this.newest) return; // one that was asked for later was quicker
      this.newest = number;
      for (const tile of this.$refs.tiles ?? []) {
        tile.style.backgroundImage = `url("${picture.src}")`;
        tile.style.visibility = "visible";
      }
    },

    async loadWhole(row, images) {
      const address = (i) => this.pictures[i].address.replace("{row}", row);
      const coming = images.map((image, i) => {
        return new Promise((came) => {
          // another row's load that is cut off by this one ends with it
          for (const event of ["load", "error"]) image.addEventListener(event, came, { once: true });
          image.src = address(i);
        });
      });
      await Promise.all(coming);
      if (row !== this.row || this.shown.small) return;
      for (const tile of this.$refs.tiles ?? []) tile.style.visibility = "hidden";
    },

    tell(now) {
      clearTimeout(this.telling);
      const wait = now ? 0 : this.told.at + TELL_MS - performance.now();
      if (wait > 0) {
        this.telling = setTimeout(() => this.tell(true), wait);
      } else if (this.told.row !== this.row) {
        this.told = { row: this.row, at: performance.now() };
        this.$emit("row", this.row, this.done);
      }
    },
  },
};
