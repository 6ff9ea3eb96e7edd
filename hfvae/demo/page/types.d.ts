// What the modules pass among each other and get from Python.

/** 784 grey levels, row by row. */
export type Image = Uint8Array;

/** A model, as `LoadedModel.describe` has it (hfvae/demo/registry.py). */
export interface Model {
  name: string;
  title: string;
  latentDim: number;
  ranking: number[];
  active: boolean[];
  visible: number;
  span: number;
  pad: number;
  box: number;
  hasMap: boolean;
  projected: boolean;
  decoder: (Program & { address: string }) | null;
  page: string | null;
  dataset: string;
  item: string;
  items: string;
  likelihood: string;
  binary: boolean;
  classes: string[];
  prior: string;
  drawsInBrowser: boolean;
  origin: number[];
  tempered: boolean;
  basePath: boolean;
  protocol: string;
  readBy: string;
}

/** A decoder, as `BrowserDecoder.describe` has it (hfvae/demo/browser_decoder.py). */
export interface Program {
  steps: Step[];
  precision: string;
  finish: string;
  scale: number;
  offset: number;
}
export interface Step {
  kind: string;
  inputs?: number;
  outputs?: number;
  height?: number;
  width?: number;
  channels?: number;
  function?: string;
}

/** Images of latent points as grey levels in [0, 1]; urgent ones first. */
export type Decode = (points: number[][], urgent?: boolean) => Promise<Float32Array[]>;

/** A line on the pad, or a picture that fills it. */
export interface Stroke {
  width: number;
  points: [number, number][];
}
export interface Picture {
  levels: Image;
}
export type Mark = Stroke | Picture;

/** What `reconstruct` (hfvae/demo/draw/draw.py) answers about a drawing, with its images unpacked. */
export interface Judged {
  seen: Image;
  reconstruction: Image;
  z: number[];
  std: number[] | null;
  spread: number[][] | null;
  elbo: number;
  rate: number;
  distortion: number;
  percentile: number | null;
  reading: number[] | null;
}

/** A point that was kept for a morph. */
export interface End {
  z: number[];
  image: Image;
}

export type Origin = "draw" | "sliders" | "map" | "morph" | "prior" | "arithmetic" | "link";

/** What listeners are told of: see `listen` in state.js. */
export type Change =
  | "model" | "z" | "image" | "ends" | "temperature" | "judged" | "drawing" | "drawn" | "tab" | "layout";

/** A Python function of a widget: one object to it, one back; undefined if it failed. */
export type Call = (request: any) => Promise<any>;
export type Server = Record<string, Call>;

/** The properties that hfvae/demo/widget.py gives each widget. */
export interface Props {
  models: Model[];
  problems: string[];
  languages: string[];
  /** Whether the app has hfvae's own routes, and so the decoders' weights. */
  routed: boolean;
}

/** An element of a widget's own; an error names what is missing. The default kind is HTMLElement. */
export interface Find {
  (selector: string): HTMLElement;
  <T extends Element>(selector: string, kind: new () => T): T;
}

/** What a widget's function is called with. */
export interface Widget {
  element: HTMLElement;
  find: Find;
  props: Props;
  server: Server;
}
