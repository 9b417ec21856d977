/** No symbols are exported: VDUSE is met through its device nodes (`linux/vduse.h`). */
export {};
