/**
 * Two levels of categories. Ids are those of the Shopify product taxonomy (release 2026-08, MIT, see NOTICE), so that
 * a listing means the same to other programs; what is no product has ids of our own that start with `x-`. Shopify's
 * own services (`se`) are left out in favour of `x-services`: one thing has one place.
 */

/** A category: `el` is a vertical, `el-7` stands below it. */
export interface Category {
  readonly id: string
  readonly name: string
  readonly children: readonly { readonly id: string; readonly name: string }[]
}

/** One category a line, a vertical before its children: id, then the English name. */
const taxonomy = `
ap Animals & Pet Supplies
ap-1 Live Animals
ap-2 Pet Supplies
aa Apparel & Accessories
aa-1 Clothing
aa-2 Clothing Accessories
aa-3 Costumes & Accessories
aa-4 Handbag & Wallet Accessories
aa-5 Handbags, Wallets & Cases
aa-6 Jewelry
aa-7 Shoe Accessories
aa-8 Shoes
ae Arts & Entertainment
ae-1 Event Tickets
ae-2 Hobbies & Creative Arts
ae-3 Party & Celebration
bt Baby & Toddler
bt-1 Baby Bathing
bt-2 Baby Gift Sets
bt-3 Baby Health
bt-4 Baby Safety
bt-5 Baby Toys & Activity Equipment
bt-6 Baby Transport
bt-7 Baby Transport Accessories
bt-8 Baby Transport Replacement Parts
bt-9 Diapering
bt-10 Nursing & Feeding
bt-11 Potty Training
bt-12 Swaddling & Receiving Blankets
bu Bundles
bi Business & Industrial
bi-1 Advertising & Marketing
bi-2 Agriculture
bi-3 Automation Control Components
bi-4 Construction
bi-5 Dentistry
bi-6 Film & Television
bi-7 Finance & Insurance
bi-8 Food Service
bi-9 Forestry & Logging
bi-10 Hairdressing & Cosmetology
bi-11 Heavy Machinery
bi-12 Hotel & Hospitality
bi-13 Industrial Storage
bi-14 Industrial Storage Accessories
bi-15 Janitorial Carts & Caddies
bi-16 Law Enforcement
bi-17 Manufacturing
bi-18 Material Handling
bi-19 Medical
bi-20 Mining & Quarrying
bi-21 Piercing & Tattooing
bi-22 Retail
bi-23 Science & Laboratory
bi-24 Signage
bi-25 Work Safety Protective Gear
co Cameras & Optics
co-1 Camera & Optic Accessories
co-2 Cameras
co-3 Optics
co-4 Photography
el Electronics
el-1 Arcade Equipment
el-2 Audio
el-3 Circuit Boards & Components
el-4 Communications
el-5 Components
el-6 Computers
el-7 Electronics Accessories
el-8 GPS Accessories
el-9 GPS Navigation Systems
el-10 GPS Tracking Devices
el-11 Marine Electronics
el-12 Networking
el-13 Print, Copy, Scan & Fax
el-14 Radar Detectors
el-15 Speed Radars
el-16 Toll Collection Devices
el-17 Video
el-18 Video Game Console Accessories
el-19 Video Game Consoles
el-20 GPS Replacement Parts
fb Food, Beverages & Tobacco
fb-1 Beverages
fb-2 Food Items
fb-3 Tobacco Products
fb-4 Cannabis Products
fr Furniture
fr-1 Baby & Toddler Furniture
fr-2 Beds & Accessories
fr-3 Benches
fr-4 Cabinets & Storage
fr-5 Carts & Islands
fr-6 Chair Accessories
fr-7 Chairs
fr-8 Daybeds
fr-9 Entertainment Centers & TV Stands
fr-10 Furniture Sets
fr-11 Futons
fr-12 Office Furniture
fr-13 Office Furniture Accessories
fr-14 Ottomans
fr-15 Outdoor Furniture
fr-16 Outdoor Furniture Accessories
fr-17 Room Divider Accessories
fr-18 Room Dividers
fr-19 Shelving
fr-20 Shelving Accessories
fr-21 Sofa Accessories
fr-22 Sofas
fr-23 Table Accessories
fr-24 Tables
fr-25 Pedestals & Plinths
gc Gift Cards
ha Hardware
ha-1 Building Consumables
ha-2 Building Materials
ha-3 Fencing & Barriers
ha-4 Fuel
ha-5 Fuel Containers & Tanks
ha-6 Hardware Accessories
ha-7 Hardware Pumps
ha-8 Heating, Ventilation & Air Conditioning
ha-9 Locks & Keys
ha-10 Plumbing
ha-11 Power & Electrical Supplies
ha-12 Small Engines
ha-13 Storage Tanks
ha-14 Tool Accessories
ha-15 Tools
hb Health & Beauty
hb-1 Health Care
hb-2 Jewelry Cleaning & Care
hb-3 Personal Care
hg Home & Garden
hg-1 Bathroom Accessories
hg-2 Business & Home Security
hg-3 Decor
hg-4 Emergency Preparedness
hg-5 Fireplace & Wood Stove Accessories
hg-6 Fireplaces
hg-7 Flood, Fire & Gas Safety
hg-8 Household Appliance Accessories
hg-9 Household Appliances
hg-10 Household Supplies
hg-11 Kitchen & Dining
hg-12 Lawn & Garden
hg-13 Lighting
hg-14 Lighting Accessories
hg-15 Linens & Bedding
hg-16 Parasols & Rain Umbrellas
hg-17 Plants
hg-18 Pool & Spa
hg-19 Smoking Accessories
hg-20 Umbrella Sleeves & Cases
hg-21 Wood Stoves
lb Luggage & Bags
lb-1 Backpacks
lb-2 Briefcases
lb-3 Cosmetic & Toiletry Bags
lb-4 Diaper Bags
lb-5 Dry Boxes
lb-6 Duffel Bags
lb-7 Fanny Packs
lb-8 Garment Bags
lb-9 Luggage Accessories
lb-10 Messenger Bags
lb-11 Shopping Totes
lb-12 Suitcases
lb-13 Tote Bags
lb-14 Train Cases
lb-15 Laptop Bags
lb-16 Dry Bags
ma Mature
ma-1 Erotic
ma-2 Weapons & Weapon Accessories
me Media
me-1 Books
me-2 Magazines & Newspapers
me-3 Music & Sound Recordings
me-4 Podcasts & Live Streams
me-5 Product Manuals
me-6 Sheet Music
me-7 Videos
me-8 Academic Papers & Studies
me-9 Online Courses
me-10 Printables
os Office Supplies
os-1 Book Accessories
os-2 Desk Pads & Blotters
os-3 Filing & Organization
os-4 General Office Supplies
os-5 Impulse Sealers
os-6 Lap Desks
os-7 Name Plates
os-8 Office & Chair Mats
os-9 Office Carts
os-10 Office Equipment
os-11 Office Instruments
os-12 Paper Handling
os-13 Presentation Supplies
os-14 Shipping Supplies
pa Product Add-Ons
pa-1 Extended Warranties
pa-2 Installation Services
pa-3 Maintenance Plans
pa-4 Product Customization
pa-5 Product Upgrades
pa-6 Shipping Insurance
pa-7 Subscription Services
rc Religious & Ceremonial
rc-1 Memorial Ceremony Supplies
rc-2 Religious Items
rc-3 Wedding Ceremony Supplies
so Software
so-1 Computer Software
so-2 Digital Goods & Currency
so-3 Video Game Software
so-4 Cloud Services
sg Sporting Goods
sg-1 Athletics
sg-2 Fitness & General Exercise Equipment
sg-3 Indoor Games
sg-4 Outdoor Recreation
tg Toys & Games
tg-1 Game Timers
tg-2 Games
tg-3 Outdoor Play Equipment
tg-4 Puzzles
tg-5 Toys
vp Vehicles & Parts
vp-1 Vehicle Parts & Accessories
vp-2 Vehicles
na Uncategorized
x-services Services
x-services-automotive Automotive
x-services-care Care & Childminding
x-services-cleaning Cleaning
x-services-construction Building & Renovation
x-services-design Design & Creative Work
x-services-events Events & Entertainment
x-services-fitness Fitness & Wellness
x-services-food Food & Catering
x-services-garden Garden & Outdoors
x-services-household Household & Errands
x-services-it IT & Programming
x-services-lessons Lessons & Tutoring
x-services-moving Moving & Transport
x-services-personal Beauty & Personal
x-services-pets Pet Care
x-services-professional Legal, Finance & Consulting
x-services-repair Repair
x-services-rides Rides
x-services-translation Writing & Translation
x-rentals Rentals
x-rentals-clothing Clothing & Costumes
x-rentals-electronics Electronics & Cameras
x-rentals-homes Homes & Flats
x-rentals-party Party & Event Equipment
x-rentals-rooms Rooms & Holiday Stays
x-rentals-spaces Workplaces, Storage & Parking
x-rentals-sports Sports & Outdoor Equipment
x-rentals-tools Tools & Machines
x-rentals-vehicles Vehicles
x-requests Requests
x-requests-advice Advice & Answers
x-requests-delivery Delivery & Errands
x-requests-gigs Gigs & Jobs
x-requests-help Neighbourly Help
x-requests-loans Loans
x-requests-lost Lost & Found
x-requests-swaps Swaps
x-requests-wanted Things Wanted
`

const idPattern = /^(?:[a-z]{2}(?:-[1-9][0-9]{0,2})?|x-[a-z]{2,16}(?:-[a-z]{2,16})?)$/

/** Verticals by name as Shopify orders them, then our own. */
export const categories: readonly Category[] = parse(taxonomy)

const verticals = new Set(categories.map(({ id }) => id))
const known = new Set(categories.flatMap(({ id, children }) => [id, ...children.map((child) => child.id)]))

/** True for an id of the taxonomy, of either level. */
export function isCategory(id: string): boolean {
  return known.has(id)
}

/**
 * True for an id that a listing may carry: a vertical of ours, or anything of the right form below one. The second
 * level grows with every release of the taxonomy, and what one version publishes another must not refuse.
 */
export function isCategoryId(id: string): boolean {
  return idPattern.test(id) && verticals.has(topCategory(id))
}

/** The vertical that an id belongs to: `el` for `el-7`, `x-services` for `x-services-repair`. */
export function topCategory(id: string): string {
  return id.split('-', id.startsWith('x-') ? 2 : 1).join('-')
}

function parse(lines: string): Category[] {
  const rows = lines
    .trim()
    .split('\n')
    .map((line) => ({ id: line.slice(0, line.indexOf(' ')), name: line.slice(line.indexOf(' ') + 1) }))
  return rows
    .filter(({ id }) => topCategory(id) === id)
    .map((top) => ({ ...top, children: rows.filter(({ id }) => id !== top.id && topCategory(id) === top.id) }))
}
