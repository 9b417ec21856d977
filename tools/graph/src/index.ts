/** Questions about a module tree and the device layers, as text, JSON, DOT and SVG. */
export {};
