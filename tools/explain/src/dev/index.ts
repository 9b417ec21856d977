/** What development needs of the table: the page of errors, read off the sources. */
export * from './page.ts';
export * from './record.ts';
export * from './scan.ts';
