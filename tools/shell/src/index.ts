/** The lab's own shell, its applets and the transcript runner. */
export {};
