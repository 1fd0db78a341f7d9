/** What the writer that is killed and the test that reads after it agree on. */
export const batchRecords = 8
export const crashOrder = 'cd'.repeat(32)
