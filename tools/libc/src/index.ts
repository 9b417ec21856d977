/** System calls of the host that Node lacks, through koffi where it is installed. */
export {};
