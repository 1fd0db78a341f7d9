/**
 * Two levels of categories. Ids are those of the Shopify product taxonomy (MIT), so that a listing means the same to
 * other programs; what is no product has ids of our own that start with `x-`.
 */

/** A category: `el` is a vertical, `el-7` stands below it. */
export interface Category {
  readonly id: string
  readonly name: string
  readonly children: readonly { readonly id: string; readonly name: string }[]
}

/** Verticals in the order in which people look for them. */
export const categories: readonly Category[] = [
  { id: 'el', name: 'Electronics', children: [] },
  { id: 'aa', name: 'Apparel & Accessories', children: [] },
  { id: 'hg', name: 'Home & Garden', children: [] },
  { id: 'fr', name: 'Furniture', children: [] },
  { id: 'sg', name: 'Sporting Goods', children: [] },
  { id: 'x-services', name: 'Services', children: [] },
  { id: 'x-rentals', name: 'Rentals', children: [] },
  { id: 'x-requests', name: 'Requests', children: [] }
]

const ids = new Set(categories.flatMap((category) => [category.id, ...category.children.map((child) => child.id)]))

/** True for an id of the taxonomy, of either level. */
export function isCategory(id: string): boolean {
  return ids.has(id)
}

/** The vertical that an id belongs to: `el` for `el-7`. */
export function topCategory(id: string): string {
  return id.startsWith('x-') ? id.split('-', 2).join('-') : (id.split('-', 1)[0] ?? id)
}
