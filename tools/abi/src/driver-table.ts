/** Drivers of a bus: each a structure of the bus's own around one of the driver core's. */

/** What the driver core does with its half. */
interface DriverCore<Driver> {
  readonly driver_register: (driver: Driver) => Promise<void>;
  readonly driver_unregister: (driver: Driver) => Promise<void>;
}

/** The registered drivers of one bus, found from either half: what C does with `container_of`. */
export class DriverTable<Own extends object, Driver extends { readonly name: string }> {
  readonly #core: DriverCore<Driver>;
  readonly #drivers = new Map<Driver, Own>();

  constructor(core: DriverCore<Driver>) {
    this.#core = core;
  }

  /** Register. @throws what driver_register throws; the table has not taken it then */
  async register(own: Own, driver: Driver): Promise<void> {
    this.#drivers.set(driver, own); // devices are probed before driver_register returns
    try {
      await this.#core.driver_register(driver);
    } catch (error) {
      this.#drivers.delete(driver);
      throw error;
    }
  }

  /** Its devices are unbound first. @throws Error (a lab bug) when it is not registered */
  async unregister(own: Own): Promise<void> {
    const driver = this.find(own);
    if (driver === undefined) throw new Error('a driver is unregistered that is not registered');
    await this.#core.driver_unregister(driver);
    this.#drivers.delete(driver);
  }

  /** The bus's half. @throws Error (a lab bug) for a driver of another bus */
  of(driver: Driver): Own {
    const own = this.#drivers.get(driver);
    if (own === undefined) throw new Error(`${driver.name}: not a driver of this bus`);
    return own;
  }

  /** The driver core's half; undefined when it is not registered. */
  find(own: Own): Driver | undefined {
    return [...this.#drivers].find(([, other]) => other === own)?.[0];
  }
}
