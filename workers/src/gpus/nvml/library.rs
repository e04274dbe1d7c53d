//! The library itself: what of it is called, and how.
#![expect(
    unsafe_code,
    reason = "a library that is found at run time is called by the form that its manual gives"
)]

use super::{Card, Driver, DriverError, Instance, Meter, Metered};
use libloading::Library;
use skein_log::usage::GpuUse;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};

const NAME: &str = "libnvidia-ml.so.1";
const INIT: &str = "nvmlInit_v2";
const SHUTDOWN: &str = "nvmlShutdown";
const COUNT: &str = "nvmlDeviceGetCount_v2";
const BY_INDEX: &str = "nvmlDeviceGetHandleByIndex_v2";
const BY_UUID: &str = "nvmlDeviceGetHandleByUUID";
const UTILIZATION: &str = "nvmlDeviceGetUtilizationRates";
const MODEL: &str = "nvmlDeviceGetName";
const UUID: &str = "nvmlDeviceGetUUID";
const MEMORY: &str = "nvmlDeviceGetMemoryInfo";
const MEMORY_2: &str = "nvmlDeviceGetMemoryInfo_v2";
const MIG_MODE: &str = "nvmlDeviceGetMigMode";
const MIG_COUNT: &str = "nvmlDeviceGetMaxMigDeviceCount";
const MIG_BY_INDEX: &str = "nvmlDeviceGetMigDeviceHandleByIndex";

/// More than any model or UUID has: the manual's are 96.
const TEXT_BYTES_MAX: usize = 128;
/// `NVML_ERROR_NOT_SUPPORTED`, of a card that cannot be cut.
const NOT_SUPPORTED: u32 = 3;
/// `NVML_ERROR_INVALID_ARGUMENT`.
const INVALID: u32 = 2;
/// `NVML_ERROR_NOT_FOUND`, of a part that is not there.
const NOT_FOUND: u32 = 6;

/// `nvmlDevice_t`: the driver's own.
type Handle = *mut c_void;

/// `nvmlMemory_t`, in bytes.
#[repr(C)]
#[derive(Default)]
struct Memory {
    total: u64,
    free: u64,
    used: u64,
}

/// `nvmlMemory_v2_t`, in bytes: tells apart what the driver keeps for itself, which no attempt uses.
#[repr(C)]
#[derive(Default)]
struct Memory2 {
    version: c_uint,
    total: u64,
    reserved: u64,
    free: u64,
    used: u64,
}

/// `nvmlMemory_v2`: the size of the form, and its number.
const MEMORY_2_VERSION: c_uint = size_of::<Memory2>() as c_uint | (2 << 24);

/// `nvmlUtilization_t`, in percent of the last sample period, which is a second or less.
#[repr(C)]
#[derive(Default)]
struct Utilization {
    gpu: c_uint,
    memory: c_uint,
}

/// The driver's library, set up; it is put away when this is dropped.
pub struct Nvml {
    library: Library,
}

impl Nvml {
    /// Loads the library and has it look at the machine.
    ///
    /// # Errors
    /// [`DriverError::Absent`] where it is not, and what it answers where it fails.
    pub fn load() -> Result<Self, DriverError> {
        // SAFETY: what runs when NVIDIA's library is loaded sets up its own memory only.
        let library = unsafe { Library::new(NAME) }.map_err(|_| DriverError::Absent { library: NAME })?;
        let nvml = Self { library };
        // SAFETY: nvmlReturn_t nvmlInit_v2(void)
        let code = unsafe { nvml.call::<unsafe extern "C" fn() -> c_int>(INIT)?() };
        answered(INIT, code)?;
        Ok(nvml)
    }

    /// Finds a function; `T` has to be the form that NVML's manual gives for it.
    unsafe fn call<T: Copy>(&self, call: &'static str) -> Result<T, DriverError> {
        // SAFETY: as for whoever calls.
        let found = unsafe { self.library.get::<T>(call.as_bytes()) };
        found.map(|function| *function).map_err(|_| DriverError::Foreign { library: NAME, call })
    }

    fn count(&self) -> Result<u32, DriverError> {
        let mut count: c_uint = 0;
        // SAFETY: nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *deviceCount)
        let code = unsafe { self.call::<unsafe extern "C" fn(*mut c_uint) -> c_int>(COUNT)?(&raw mut count) };
        answered(COUNT, code)?;
        Ok(count)
    }

    fn by_index(&self, index: u32) -> Result<Handle, DriverError> {
        let mut handle: Handle = std::ptr::null_mut();
        type Form = unsafe extern "C" fn(c_uint, *mut Handle) -> c_int;
        // SAFETY: nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device)
        let code = unsafe { self.call::<Form>(BY_INDEX)?(index, &raw mut handle) };
        answered(BY_INDEX, code)?;
        Ok(handle)
    }

    fn text(&self, call: &'static str, handle: Handle) -> Result<String, DriverError> {
        let mut text: [c_char; TEXT_BYTES_MAX] = [0; TEXT_BYTES_MAX];
        type Form = unsafe extern "C" fn(Handle, *mut c_char, c_uint) -> c_int;
        // SAFETY: nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned int length), and the same for the
        // UUID; one byte less than there is, so that the last stays 0.
        let code =
            unsafe { self.call::<Form>(call)?(handle, text.as_mut_ptr(), (TEXT_BYTES_MAX - 1) as c_uint) };
        answered(call, code)?;
        // SAFETY: it ends with a 0 within its length.
        Ok(unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned())
    }

    /// Finds a card or a part by its UUID, or a card by its number.
    fn by_id(&self, id: &str) -> Result<Handle, DriverError> {
        if let Ok(index) = id.parse() {
            return self.by_index(index);
        }
        let uuid = CString::new(id).map_err(|_| DriverError::Failed { call: BY_UUID, code: INVALID })?;
        let mut handle: Handle = std::ptr::null_mut();
        type Form = unsafe extern "C" fn(*const c_char, *mut Handle) -> c_int;
        // SAFETY: nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device); the text ends with a 0.
        let code = unsafe { self.call::<Form>(BY_UUID)?(uuid.as_ptr(), &raw mut handle) };
        answered(BY_UUID, code)?;
        Ok(handle)
    }

    /// Answers how busy a card is, in percent; none of a part, of which nobody says.
    fn busy(&self, handle: Handle) -> Result<Option<u8>, DriverError> {
        let mut rates = Utilization::default();
        type Form = unsafe extern "C" fn(Handle, *mut Utilization) -> c_int;
        // SAFETY: nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *utilization)
        let code = unsafe { self.call::<Form>(UTILIZATION)?(handle, &raw mut rates) };
        match answered(UTILIZATION, code) {
            Ok(()) => Ok(Some(u8::try_from(rates.gpu.min(100)).unwrap_or(100))),
            Err(DriverError::Failed { code: NOT_SUPPORTED, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn memory(&self, handle: Handle) -> Result<Memory, DriverError> {
        let mut memory = Memory::default();
        type Form = unsafe extern "C" fn(Handle, *mut Memory) -> c_int;
        // SAFETY: nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory)
        let code = unsafe { self.call::<Form>(MEMORY)?(handle, &raw mut memory) };
        answered(MEMORY, code)?;
        Ok(memory)
    }

    /// Answers how much memory is used, in bytes; a driver from before 2022 counts what it keeps for itself.
    fn memory_used(&self, handle: Handle) -> Result<u64, DriverError> {
        let mut memory = Memory2 { version: MEMORY_2_VERSION, ..Memory2::default() };
        type Form = unsafe extern "C" fn(Handle, *mut Memory2) -> c_int;
        // SAFETY: nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory)
        let told = unsafe { self.call::<Form>(MEMORY_2) }.and_then(|call| {
            // SAFETY: as above.
            answered(MEMORY_2, unsafe { call(handle, &raw mut memory) })
        });
        match told {
            Ok(()) => Ok(memory.used),
            Err(_) => Ok(self.memory(handle)?.used),
        }
    }

    /// Answers the parts of a card; none when it is whole.
    fn instances(&self, card: Handle) -> Result<Option<Vec<Instance>>, DriverError> {
        type Mode = unsafe extern "C" fn(Handle, *mut c_uint, *mut c_uint) -> c_int;
        // SAFETY: nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned int *current, unsigned int *pending)
        let mode = match unsafe { self.call::<Mode>(MIG_MODE) } {
            Ok(mode) => mode,
            // A driver of before there were parts.
            Err(_) => return Ok(None),
        };
        let (mut current, mut pending): (c_uint, c_uint) = (0, 0);
        // SAFETY: as above.
        let code = unsafe { mode(card, &raw mut current, &raw mut pending) };
        match answered(MIG_MODE, code) {
            Ok(()) if current == 1 => {}
            Ok(()) | Err(DriverError::Failed { code: NOT_SUPPORTED, .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
        let mut most: c_uint = 0;
        type Count = unsafe extern "C" fn(Handle, *mut c_uint) -> c_int;
        // SAFETY: nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned int *count)
        let code = unsafe { self.call::<Count>(MIG_COUNT)?(card, &raw mut most) };
        answered(MIG_COUNT, code)?;
        let mut instances = Vec::new();
        for index in 0..most {
            let mut handle: Handle = std::ptr::null_mut();
            type Form = unsafe extern "C" fn(Handle, c_uint, *mut Handle) -> c_int;
            // SAFETY: nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned int index,
            // nvmlDevice_t *migDevice)
            let code = unsafe { self.call::<Form>(MIG_BY_INDEX)?(card, index, &raw mut handle) };
            match answered(MIG_BY_INDEX, code) {
                Ok(()) => instances.push(Instance {
                    model: self.text(MODEL, handle)?,
                    uuid: self.text(UUID, handle)?,
                    memory_bytes: self.memory(handle)?.total,
                }),
                Err(DriverError::Failed { code: NOT_FOUND, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(instances))
    }
}

impl Driver for Nvml {
    fn cards(&self) -> Result<Vec<Card>, DriverError> {
        let mut cards = Vec::new();
        for index in 0..self.count()? {
            let handle = self.by_index(index)?;
            cards.push(Card {
                model: self.text(MODEL, handle)?,
                uuid: self.text(UUID, handle)?,
                memory_bytes: self.memory(handle)?.total,
                instances: self.instances(handle)?,
            });
        }
        Ok(cards)
    }
}

impl Meter for Nvml {
    fn read(&self, id: &str) -> Result<Metered, DriverError> {
        let handle = self.by_id(id)?;
        let total_bytes = Some(self.memory(handle)?.total);
        let used = GpuUse { memory_bytes: self.memory_used(handle)?, percent: self.busy(handle)? };
        Ok(Metered { used, total_bytes })
    }
}

impl Drop for Nvml {
    fn drop(&mut self) {
        // SAFETY: nvmlReturn_t nvmlShutdown(void)
        if let Ok(shutdown) = unsafe { self.call::<unsafe extern "C" fn() -> c_int>(SHUTDOWN) } {
            // SAFETY: as above; what it answers changes nothing any more.
            unsafe { shutdown() };
        }
    }
}

fn answered(call: &'static str, code: c_int) -> Result<(), DriverError> {
    match code {
        0 => Ok(()),
        code => Err(DriverError::Failed { call, code: code.unsigned_abs() }),
    }
}
