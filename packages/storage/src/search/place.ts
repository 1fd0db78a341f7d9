/** Degrees, WGS 84. */
export interface Point {
  readonly lat: number
  readonly lon: number
}

/** A range of degrees. `west` above `east` crosses the date line. */
export interface Box {
  readonly south: number
  readonly north: number
  readonly west: number
  readonly east: number
}

const earthKm = 6371.0088
const base32 = '0123456789bcdefghjkmnpqrstuvwxyz'

/** The middle of a geohash's cell. */
export function pointOfGeohash(geohash: string): Point {
  const ranges = { lon: [-180, 180] as [number, number], lat: [-90, 90] as [number, number] }
  let isLon = true
  for (const character of geohash) {
    const value = base32.indexOf(character)
    for (let bit = 16; bit > 0; bit >>= 1) {
      const range = isLon ? ranges.lon : ranges.lat
      const middle = (range[0] + range[1]) / 2
      range[value & bit ? 0 : 1] = middle
      isLon = !isLon
    }
  }
  return { lat: (ranges.lat[0] + ranges.lat[1]) / 2, lon: (ranges.lon[0] + ranges.lon[1]) / 2 }
}

/** Great-circle distance (haversine). */
export function distanceKm(a: Point, b: Point): number {
  const [lat, lon] = [radians(b.lat - a.lat), radians(b.lon - a.lon)]
  const square = Math.sin(lat / 2) ** 2 + Math.cos(radians(a.lat)) * Math.cos(radians(b.lat)) * Math.sin(lon / 2) ** 2
  return 2 * earthKm * Math.asin(Math.min(1, Math.sqrt(square)))
}

/** A box that holds everything within `km`; near a pole, all longitudes. */
export function boxAround({ lat, lon }: Point, km: number): Box {
  const north = lat + degrees(km / earthKm)
  const south = lat - degrees(km / earthKm)
  const reach = Math.sin(km / earthKm) / Math.cos(radians(lat))
  if (north >= 90 || south <= -90 || km >= (earthKm * Math.PI) / 2 || Math.abs(reach) >= 1) {
    return { south: Math.max(-90, south), north: Math.min(90, north), west: -180, east: 180 }
  }
  const wide = degrees(Math.asin(reach))
  return { south, north, west: wrapped(lon - wide), east: wrapped(lon + wide) }
}

function wrapped(lon: number): number {
  if (lon < -180) return lon + 360
  return lon > 180 ? lon - 360 : lon
}

function radians(value: number): number {
  return (value * Math.PI) / 180
}

function degrees(value: number): number {
  return (value * 180) / Math.PI
}
