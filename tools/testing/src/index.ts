/** covers(), fakes, a mock ring driver and the tables of conformance suites. */
export {};
