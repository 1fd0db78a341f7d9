/** Value, in whole units of the reference currency, at which a trade weighs 1. */
export const unitValueUnits = 50

/** The most one trade can weigh: reached at 91 units, so that a dear trade cannot buy a name. */
export const tradeWeightMax = 1.5

/** After so many days a trade weighs half. */
export const halfLifeDays = 180

/** How much of a trade counts, by what proves it: a settled escrow cost money and is public; two signatures are cheap. */
export const evidenceWeights = { escrow: 1, pair: 0.25, 'one-sided': 0 } as const

/** The most trust that good trades can make between two people; 4 good trades of weight 1 reach 63 % of it. */
export const trustMax = 4

/** What one bad trade of weight 1 takes from trust. */
export const trustLossPerBad = 3

/** Trust of a seller in a buyer per weight of a good trade: paying is easier than delivering. */
export const sellerTrustShare = 0.1

/** Walks a score. The standard error of a share of 1 % is 0.1 %. */
export const walksDefault = 8_000

/** Chance to end before each step: a walk takes 1.9 steps on the average. */
export const stopChance = 0.35

/** Steps of the longest walk. */
export const stepsMax = 6

/** How quickly a share of walks becomes a full voice: 1 % of the walks is 0.95 of a voice. */
export const voicePerShare = 300

/** Bad weight against good. */
export const badFactor = 2

/** Weight of a trade nobody spoke about against a good one. */
export const silentFactor = 0.15

/** Normal quantile of the lower bound: 90 % one-sided. */
export const wilsonZ = 1.28

/** Days an order may go unrated before it counts as silent: both sides' records open after 14 (docs/protocol). */
export const silentAfterDays = 14

/** How many raters a score explains. */
export const explanationsMax = 5

/** Roots of one reader. A market names a handful of curators; a reader is one. */
export const rootsMax = 64

/** Edges and orders of one graph: 600 to 760 bytes each (measured, test/score.bench.ts), so at most 190 MB. */
export const edgesMaxDefault = 250_000

/** Scores kept until the next change. */
export const cachedScoresMax = 1_000
